"""A gateway in a process of its own, as it is started by operators."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

from cli.stack.layout import PROJECT, PYTHON_PATH, Ports
from tests.unit.gateway.served_gateway import LIMIT_S, Gateway, until

SHARED = {"server_ca_file", "client_certificate_file", "client_key_file"}
"""Settings that all callers of servers have."""


def start(program=("-m", "gateway"), **settings):
    """Start ``python PROGRAM`` with settings of the gateway, named without its prefix."""
    given = {
        f"NEXTCLICK_{'' if name in SHARED else 'GATEWAY_'}{name.upper()}": str(value)
        for name, value in settings.items()
    }
    path = os.pathsep.join(filter(None, (PYTHON_PATH, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, *program],
        env=os.environ | given | {"PYTHONPATH": path},
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def gateway_process(target, program=("-m", "gateway"), **settings):
    """Run one while the block runs; gives its process and where it listens."""
    ports = Ports.free()
    process = start(program, port=ports.http, http_port=ports.grpc, target=target, **settings)
    try:
        until(lambda: process.poll() is not None or page(ports.grpc, "/healthz") == (200, "ok"))
        assert process.poll() is None, process.stderr.read()
        yield process, Gateway("127.0.0.1", ports.http), ports.grpc
    finally:
        process.kill()
        process.wait(LIMIT_S)
        process.stderr.close()


def page(port, path):
    """Return status and text of a page; None if nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError:
        return None
