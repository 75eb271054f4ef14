"""``nextclick up``: start the stack on this machine, in the background."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import typer

from cli.console import err, print_json, print_result
from cli.errors import CommandError
from cli.figures import seconds
from cli.options import (
    DEFAULT_HOME,
    EmitterHttpPort,
    FlinkMetricsPort,
    FlinkPort,
    FlinkRpcPort,
    GrpcPort,
    HomeFolder,
    HttpPort,
    Json,
    KafkaControllerPort,
    KafkaPort,
    RedisPort,
    StoreHttpPort,
    Tenant,
)
from cli.stack.detach import start_detached
from cli.stack.layout import PYTHON_PATH, Home, Ports
from cli.stack.parts import SUPERVISOR
from cli.stack.stack import Stack
from cli.stack.temporary import keep
from settings.client import ClientSettings
from settings.jobs import JobSettings
from settings.load import load
from settings.server import ServerSettings
from settings.store import StoreSettings

DEFAULTS = Ports()


def up(
    home: HomeFolder = DEFAULT_HOME,
    grpc_port: GrpcPort = None,
    http_port: HttpPort = None,
    kafka_port: KafkaPort = DEFAULTS.kafka,
    redis_port: RedisPort = DEFAULTS.redis,
    flink_port: FlinkPort = DEFAULTS.flink,
    kafka_controller_port: KafkaControllerPort = DEFAULTS.kafka_controller,
    flink_rpc_port: FlinkRpcPort = DEFAULTS.flink_rpc,
    store_http_port: StoreHttpPort = None,
    emitter_http_port: EmitterHttpPort = DEFAULTS.emitter_http,
    tenant: Tenant = None,
    flink_metrics_port: FlinkMetricsPort = DEFAULTS.flink_metrics,
    from_nothing: Annotated[
        bool,
        typer.Option(
            "--from-nothing",
            help="Start the Flink jobs without their saved states, at the beginning of the log.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Start Kafka, Redis, Flink with its jobs, the session store, a server and the example emitter.

    They run in the background, on the data of the last run if there are any, until `nextclick
    down`. A supervisor starts again what dies.

    nextclick up --grpc-port 50052
    """
    started = time.monotonic()
    load(JobSettings)  # what is wrong with them is said before anything starts
    server, store = load(ServerSettings, tenant=tenant), load(StoreSettings)
    if server.tls_certificate_file and not load(ClientSettings).server_ca_file:
        raise CommandError(
            "NEXTCLICK_TLS_CERTIFICATE_FILE is set: set NEXTCLICK_SERVER_CA_FILE, too, so that "
            "this and other commands can tell whether the server is SERVING"
        )
    if store_http_port is None and "store_http_port" in store.model_fields_set:
        store_http_port = store.store_http_port
    ports = Ports(
        grpc=server.grpc_port if grpc_port is None else grpc_port,
        http=server.http_port if http_port is None else http_port,
        kafka=kafka_port,
        redis=redis_port,
        flink=flink_port,
        kafka_controller=kafka_controller_port,
        flink_rpc=flink_rpc_port,
        store_http=DEFAULTS.store_http if store_http_port is None else store_http_port,
        emitter_http=emitter_http_port,
        flink_metrics=flink_metrics_port,
    )
    say = partial(err.print, highlight=False, soft_wrap=True)
    for name in sorted({"kafka", "redis"} & server.model_fields_set):
        say(f"NEXTCLICK_{name.upper()} is not used: the stack has a {name.title()} of its own")
    stack = Stack(Home(home.absolute()), ports, bound=False, tenant=server.tenant, say=say)
    stack.home.take()

    def start() -> list[str]:
        keep(stack.home.root)
        with err.status("starting") as note:
            stack.start(lambda text: note.update(f"{text} ..."), from_nothing=from_nothing)
        return stack.supervise()

    start_detached(start, stack.home.log(SUPERVISOR), {"PYTHONPATH": PYTHON_PATH})
    lasted_s = time.monotonic() - started
    if json:
        print_json({"state": "SERVING", "grpc": stack.target, "seconds": lasted_s})
    else:
        show(stack, lasted_s)


def show(stack: Stack, lasted_s: float) -> None:
    """Print where the parts of a stack listen that people use."""
    ports = stack.ports
    parts = {"tenant": stack.tenant} if stack.tenant else {}
    parts["gRPC"] = stack.target
    if ports.http:
        scheme = "https" if load(ServerSettings).tls_certificate_file else "http"
        parts["metrics"] = f"{scheme}://127.0.0.1:{ports.http}/metrics"
    parts |= {
        "Kafka": stack.kafka,
        "Redis": f"127.0.0.1:{ports.redis}",
        "Flink": f"http://127.0.0.1:{ports.flink}",
    }
    print_result(f"SERVING after {seconds(lasted_s)}", parts)
