"""Attempts of one call beside each other: where an answer takes long, the next server is asked.

Only for calls that read. (Of gRPC's policies, grpc's core has the one for retries alone.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any

import grpc

from nextclick.retry import Attempts, retryable, translate


def first_answer(
    begin: Callable[[], Any], attempts: Attempts, after_s: float, wait: Callable[[float], None]
) -> Any:
    """Return the answer that comes first; the other attempts are cancelled.

    Parameters
    ----------
    begin
        Begins an attempt, and returns its future.
    attempts
        How many there may be, and until when.
    after_s
        Another attempt begins whenever none has ended for so long; seconds.
    wait
        Waits so many seconds before the next attempt, where all have failed.

    Raises
    ------
    NextclickError
        What the last attempt ended with.
    """
    out: list[Any] = []
    ended: SimpleQueue[Any] = SimpleQueue()

    def add() -> None:
        call = begin()
        out.append(call)
        call.add_done_callback(ended.put)

    most_s: float | None = after_s
    add()
    try:
        while True:
            try:
                call = ended.get(timeout=most_s)
            except Empty:
                if attempts.hedge():
                    add()
                else:
                    most_s = None
                continue
            out.remove(call)
            if call.code() is grpc.StatusCode.OK:
                return call.result()
            if out and retryable(call):
                continue
            pause = attempts.pause() if retryable(call) else None
            if pause is None:
                raise translate(call) from call
            wait(pause)
            add()
    finally:
        for call in out:
            call.cancel()


async def first_answer_async(
    begin: Callable[[], Awaitable[Any]], attempts: Attempts, after_s: float
) -> Any:
    """Return what `first_answer` does."""
    out = {asyncio.ensure_future(begin())}
    wait: float | None = after_s
    try:
        while True:
            ended, _ = await asyncio.wait(out, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if not ended:
                if attempts.hedge():
                    out.add(asyncio.ensure_future(begin()))
                else:
                    wait = None
                continue
            call = ended.pop()
            out.remove(call)
            try:
                return call.result()
            except grpc.RpcError as error:
                if out and retryable(error):
                    continue
                pause = attempts.pause() if retryable(error) else None
                if pause is None:
                    raise translate(error) from error
            await asyncio.sleep(pause)
            out.add(asyncio.ensure_future(begin()))
    finally:
        for call in out:
            call.cancel()
