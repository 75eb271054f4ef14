"""What people are told when a command fails: what is wrong, and what to do about it.

The one place where exceptions become sentences. What has none is a bug, and keeps its traceback.
"""

from __future__ import annotations

import errno
import re
import sys
from typing import Any

import psutil
import redis
from confluent_kafka import KafkaException

from cli.errors import CommandError
from connections.kafka_admin import KafkaFaultError
from nextclick import NextclickError

DOCTOR = "`nextclick doctor` looks for the cause"

OF_CALLS = {
    "UNAVAILABLE": "`nextclick status` shows the parts and what they wait for",
    "UNAUTHENTICATED": "put a token of `nextclick tokens create` into the file that "
    "NEXTCLICK_TOKEN_FILE names",
    "PERMISSION_DENIED": "NEXTCLICK_TOKEN_FILE names the file of the token",
}
"""What to do about a status of a call; the messages of all others say it themselves."""

NO_SERVER = (
    "no server answers there{}: `nextclick up` and `nextclick serve` start one; --grpc-port says "
    "where it is"
)

NO_TLS = (
    "the server there and this command do not agree on TLS: NEXTCLICK_SERVER_CA_FILE must name the "
    "CA of its certificate, which must be for that address"
)

CLOSED = (
    "; if it speaks TLS, NEXTCLICK_SERVER_CA_FILE must name the CA of its certificate, and "
    "NEXTCLICK_CLIENT_CERTIFICATE_FILE yours, where it asks for one"
)

NO_ANSWER = (
    "no answer in time: `nextclick status` shows whether the server runs or is catching up; "
    "--grpc-port says where it is"
)

OF_SYSTEM = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your share of the disk",
    errno.EACCES: "run the command as the owner, or choose another place",
    errno.EPERM: "run the command as the owner, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a folder is needed there: check the path",
    errno.EISDIR: "a file is needed there: check the path",
    errno.EEXIST: "a folder is needed there: check the path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (ulimit -n)",
}
"""What to do about an error of the system."""

CONNECTING = re.compile(r"connections to all backends failing")
HANDSHAKE = re.compile(r"Ssl handshake failed|empty address list")
"""What gRPC says of a certificate that it does not trust, and of a file that holds none."""
WHY = re.compile(r"remote host: (?:connect: )?([^:;(]+)")


def sentence_of(error: BaseException) -> str | None:
    """Return what is wrong and what to do, in one or more lines; None for a bug."""
    told: str | None
    match error:
        case CommandError():
            told = str(error)
        case _ if _is_of_evaluation(error):
            told = str(error)
        case SystemExit(code=str(text)):  # settings, ports and folders of our processes
            told = text
        case NextclickError():
            told = _of_call(error)
        case psutil.AccessDenied():
            told = (
                f"process {error.pid} belongs to another user, who started the stack: run the "
                "command as that user, or choose another --home"
            )
        case KafkaFaultError():
            told = f"Kafka: {error.fault.told}"
        case KafkaException():
            told = f"Kafka: {error.args[0].str()}; {DOCTOR}"
        case redis.RedisError():
            told = f"Redis: {error}; {DOCTOR}"
        case MemoryError():
            told = "there is not enough memory: take a smaller file, or a larger machine"
        case OSError():
            told = _of_system(error)
        case _:
            told = _of_usage(error)
    return told


def _is_of_evaluation(error: BaseException) -> bool:
    """Whether evaluation has raised it, if that is loaded: it needs an extra of its own."""
    errors = sys.modules.get("evaluation.errors")
    return errors is not None and isinstance(error, errors.EvaluationError)


def _of_call(error: NextclickError) -> str:
    text = str(error)
    if error.status == "UNAVAILABLE" and HANDSHAKE.search(text):
        return NO_TLS
    if error.status == "UNAVAILABLE" and CONNECTING.search(text):
        why = WHY.search(text)
        said = NO_SERVER.format(f" ({why[1].strip()})" if why else "")
        return said + CLOSED if "Socket closed" in text else said
    if error.status == "DEADLINE_EXCEEDED":
        return NO_ANSWER
    step = OF_CALLS.get(error.status)
    return f"{text}; {step}" if step else text


def _of_system(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{said}; {OF_SYSTEM.get(error.errno or 0, DOCTOR)}"


def _of_usage(error: Any) -> str | None:
    """Return what is wrong with the words of a command line, which typer has found."""
    if not hasattr(error, "format_message"):
        return None
    said: str = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return said
    said = said.rstrip(".") + ("" if said.endswith("?") else ";")
    return f"{said} `{context.command_path} --help` shows what it takes"
