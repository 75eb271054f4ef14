"""``nextclick models``: the models of the running server, and control of their learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from cli.console import out, print_json
from cli.errors import CommandError
from cli.options import GrpcPort, Json
from nextclick.v1 import model_service_pb2 as pb
from nextclick.v1.model_service_pb2_grpc import ModelServiceStub

models_app = typer.Typer(help="The models of the running server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The model: vectors or ranker.")]


def _call(port: int, call: Callable[[Any], Any]) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return call(ModelServiceStub(channel))  # type: ignore[no-untyped-call]
        except grpc.RpcError as e:
            raise CommandError(f"{e.code().name}: {e.details()}") from e


@models_app.command("list")
def list_models(grpc_port: GrpcPort = 50051, json: Json = False) -> None:
    """Show version, examples learned and running score of each model.

    nextclick models list
    """
    reply = _call(grpc_port, lambda stub: stub.ListModels(pb.ListModelsRequest(), timeout=5))
    if json:
        print_json(
            MessageToDict(
                reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        )
        return
    table = Table()
    for column in ("model", "version", "examples", "answers", "hit rate@20", "MRR@20", "learning"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for m in reply.models:
        scores = [
            f"{100 * getattr(m, name):.1f} %" if m.HasField(name) else ""
            for name in ("hit_rate", "mrr")
        ]
        learning = "paused" if m.paused else "never" if m.age_ms < 0 else "on"
        answers = "yes" if m.answering else ""
        table.add_row(m.name, f"{m.version:,}", f"{m.examples:,}", answers, *scores, learning)
    out.print(table)
    for m in reply.models:
        if m.kept_versions:
            kept = ", ".join(map(str, m.kept_versions))
            out.print(f"{m.name} can be rolled back to: {kept}")


@models_app.command()
def pause(name: Name, grpc_port: GrpcPort = 50051) -> None:
    """Pause a model's learning: until it is resumed, it skips its input and never learns it.

    nextclick models pause ranker
    """
    request = pb.PauseLearningRequest(model=name)
    _call(grpc_port, lambda stub: stub.PauseLearning(request, timeout=10))
    out.print(f"{name} pauses")


@models_app.command()
def resume(name: Name, grpc_port: GrpcPort = 50051) -> None:
    """Let a paused model learn again.

    nextclick models resume ranker
    """
    request = pb.ResumeLearningRequest(model=name)
    _call(grpc_port, lambda stub: stub.ResumeLearning(request, timeout=10))
    out.print(f"{name} resumes")


@models_app.command()
def roll_back(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="One of its kept versions.")],
    grpc_port: GrpcPort = 50051,
) -> None:
    """Restore an earlier version of a model, which then learns on from there.

    nextclick models roll-back ranker 120
    """
    request = pb.RollBackRequest(model=name, version=version)
    _call(grpc_port, lambda stub: stub.RollBack(request, timeout=10))
    out.print(f"{name} goes back to version {version}")
