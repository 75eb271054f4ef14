"""Calls that stay open: each has a thread, and their number is bounded, in all and by client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from listeners.client_slots import ClientSlots, client_of
from server import metrics
from server.errors import RequestError, overloaded
from server.transport.rich_status import Told, abort

SPARE_THREADS = 2
"""Threads that reject calls beyond the limit."""

Answers = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
"""Yields serialised answers to serialised requests."""


class Streams:
    """Makes gRPC handlers of streams, which share threads and a limit.

    A call whose client sends one message is a stream here, too: gRPC would wait for that message
    before it calls the handler, on a thread that a silent client then has without a slot.

    Parameters
    ----------
    kind
        What they are called in errors, in the plural.
    most, most_of_client
        The most of them, in all and of one client.
    beyond
        Makes the error for those beyond.
    """

    def __init__(
        self,
        kind: str,
        most: int,
        most_of_client: int,
        beyond: Callable[[str], RequestError] = overloaded,
    ) -> None:
        self._threads = ThreadPoolExecutor(most + SPARE_THREADS, kind)
        self._slots = ClientSlots(most, most_of_client)
        metrics.OPEN_STREAMS.labels(kind).set_function(lambda: self._slots.taken)
        self._full = beyond(
            f"{most} {kind} are open already, or {most_of_client} from your address; close one"
        )

    def handler(self, answers: Answers, told: Told) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the gRPC handler of a method; its errors are sent as ``told`` returns them."""

        def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            client = client_of(context.peer())
            if not self._slots.take(client):
                abort(context, told(self._full))
            try:
                yield from answers(requests, context)
            except grpc.RpcError:
                raise  # the client has gone
            except Exception as e:
                abort(context, told(e))
            finally:
                self._slots.give_back(client)

        stream.experimental_thread_pool = self._threads  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(stream)
