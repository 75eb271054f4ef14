"""``nextclick bench guard``: what tokens and TLS cost, and what a flood of refused calls does."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from cli.bench import native
from cli.bench.charts import save_json
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.figures import count, microseconds
from cli.live.answer_times import median_us
from cli.live.bootstrap import PREFIX, bootstrap
from cli.live.further_server import further_server
from cli.live.ledger import Ledger
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.authority import Authority
from cli.stack.layout import SAMPLE
from cli.stack.temporary import results_folder, temporary_stack
from evaluation.datasets import load_sessions
from listeners.tokens import Scope, Token, encode_tokens, hash_of, new_token
from nextclick import Client, Tls
from nextclick.v1 import recommendation_service_pb2 as pb

RECOMMEND = "/nextclick.v1.RecommendationService/Recommend"
HISTORY = 10_000
"""Clicks that are learned before."""

ASKED_SESSIONS = 2_000


class Files(NamedTuple):
    """Tokens of a server, a good and a wrong one; its authority, its certificate and its key."""

    tokens: Path
    good: Path
    wrong: Path
    authority: Path
    certificate: Path
    key: Path


def guard(
    rounds: Annotated[int, typer.Option(min=1, help="Slices of each kind.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a slice.")] = 5.0,
    rate: Annotated[float, typer.Option(min=1, help="Good calls a second.")] = 500.0,
    refused: Annotated[float, typer.Option(min=1, help="Refused calls a second.")] = 2_000.0,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure good calls alone and beside refused ones; and answers over TLS against plain ones.

    Slices of both kinds alternate; figures are medians. Refused calls carry a wrong token. The
    calls over TLS and the plain ones are those of the Python client, one after another.

    nextclick bench guard --json
    """
    with temporary_stack(home) as stack:
        program = native.client(home.absolute())
        if program is None:
            raise CommandError("not measured: there is no C compiler for the load client")
        sessions = load_sessions(SAMPLE / "train.txt.gz")
        with Ledger(stack.kafka_settings) as book, progress() as bar:
            bootstrap(stack, sessions, HISTORY, book, bar)
        asked = [f"{PREFIX}{session.session_id}" for session in sessions[-ASKED_SESSIONS:]]
        files = written(stack.home.path("guard"))
        tokens = {"NEXTCLICK_TOKENS_FILE": str(files.tokens)}
        certificate = {
            "NEXTCLICK_TLS_CERTIFICATE_FILE": str(files.certificate),
            "NEXTCLICK_TLS_KEY_FILE": str(files.key),
        }
        with (
            further_server(stack, "guarded", tokens) as plain,
            further_server(stack, "secured", tokens | certificate, files.authority) as secured,
        ):
            result = measure(program, files, plain, secured, asked, rounds, seconds, rate, refused)
    save_json(results_folder(home) / "guard", result)
    if json:
        print_json(result)
    else:
        print_result("Tokens and TLS", readable(result))


def measure(
    program: Path,
    files: Files,
    plain: str,
    secured: str,
    asked: list[str],
    rounds: int,
    seconds: float,
    rate: float,
    refused: float,
) -> dict[str, Any]:
    """Return the figures of two servers with tokens, one of them with a certificate.

    Parameters
    ----------
    program
        The native client.
    files
        Those of the servers.
    plain, secured
        Their addresses.
    asked
        Ids of sessions to ask for.
    rounds, seconds, rate, refused
        As in `guard`.
    """
    requests = files.tokens.with_name("requests")
    native.write_requests(
        requests, [pb.RecommendRequest(session_id=name).SerializeToString() for name in asked]
    )

    def run(token: Path, calls_per_s: float) -> native.Load:
        return native.run(program, plain, RECOMMEND, requests, seconds, calls_per_s, token)

    run(files.good, rate)  # warms up
    alone: list[native.Load] = []
    beside: list[native.Load] = []
    floods: list[native.Load] = []
    times: dict[str, list[float]] = {plain: [], secured: []}
    with ThreadPoolExecutor(1) as pool:
        for _ in range(rounds):
            alone.append(run(files.good, rate))
            flood = pool.submit(run, files.wrong, refused)
            beside.append(run(files.good, rate))
            floods.append(flood.result())
            for target, tls in ((plain, None), (secured, Tls(files.authority))):
                with Client(target, timeout_s=10, token=files.good.read_text(), tls=tls) as client:
                    times[target].append(median_us(client, asked, seconds))
    quantiles = {
        f"{prefix}{name}_us": statistics.median(float(np.percentile(load.us, q)) for load in loads)
        for prefix, loads in (("alone_", alone), ("beside_", beside))
        for name, q in (("p50", 50), ("p99", 99))
    }
    over_tls, without = (statistics.median(times[target]) for target in (secured, plain))
    return {
        "good_per_s": rate,
        "refused_per_s": sum(load.errors for load in floods) / (rounds * seconds),
        **quantiles,
        "p99_ratio": quantiles["beside_p99_us"] / quantiles["alone_p99_us"],
        "errors": sum(load.errors for load in (*alone, *beside)),
        "not_refused": sum(len(load.us) for load in floods),
        "plain_p50_us": without,
        "tls_p50_us": over_tls,
        "tls_ratio": over_tls / without,
    }


def written(folder: Path) -> Files:
    """Write the files of the servers."""
    authority = Authority(folder, "bench")
    tokens, good, wrong = (folder / name for name in ("tokens.json", "good", "wrong"))
    token, today = new_token(), datetime.now(UTC).date().isoformat()
    entry = Token("bench", frozenset([Scope.RECOMMEND]), hash_of(token), today)
    tokens.write_bytes(encode_tokens([entry]))
    good.write_text(token)
    wrong.write_text(new_token())
    return Files(tokens, good, wrong, authority.certificate, *authority.issue("server"))


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    return {
        f"{result['good_per_s']:,.0f} good calls/s, p50, p99": microseconds(
            result["alone_p50_us"], result["alone_p99_us"]
        ),
        f"  beside {result['refused_per_s']:,.0f} refused/s": microseconds(
            result["beside_p50_us"], result["beside_p99_us"]
        ),
        "  ratio of p99": f"{result['p99_ratio']:.2f}",
        "good calls without an answer": count(result["errors"]),
        "wrong calls that were answered": count(result["not_refused"]),
        "answers, one after another, p50": microseconds(result["plain_p50_us"]),
        "  over TLS": microseconds(result["tls_p50_us"]),
        "  ratio": f"{result['tls_ratio']:.2f}",
    }
