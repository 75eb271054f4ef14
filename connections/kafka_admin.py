"""Questions to a cluster whose errors are sentences: why it does not answer, or what it refuses."""

from __future__ import annotations

import sys
import threading
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from connections.kafka import client_config
from connections.kafka_faults import RIGHTS, Fault, Heard, fault_of, is_refusal, who
from settings.kafka import KafkaSettings
from settings.kafka_rights import TOPIC, Right, Role

ANSWER_S = 5.0

T = TypeVar("T")


class KafkaFaultError(KafkaException):
    """An error of Kafka's, with what it means."""

    def __init__(self, error: Any, fault: Fault) -> None:
        super().__init__(error)
        self.fault = fault


class Admin(AdminClient):
    """A client that asks.

    Parameters
    ----------
    settings
        Where Kafka is.
    properties
        Further ones of the client.

    Raises
    ------
    SystemExit
        See `client_config`.
    """

    def __init__(self, settings: KafkaSettings, **properties: Any) -> None:
        self._settings = settings
        self._heard = Heard()
        config: dict[str, Any] = {**client_config(settings), "error_cb": self._heard}
        super().__init__(config | properties)

    def __del__(self) -> None:
        # Answers come on a thread of librdkafka's own. A collection of garbage on that thread must
        # not end the client: librdkafka would abort the process.
        if not sys.is_finalizing():
            ending = (None, None, None)
            threading.Thread(target=self.__exit__, args=ending, daemon=True).start()

    def list_topics(self, *args: Any, **kwargs: Any) -> Any:
        """Return what brokers and topics there are, as `AdminClient` does.

        Raises
        ------
        KafkaFaultError
        """
        with self._explained():
            return super().list_topics(*args, **kwargs)

    def wait(self, future: Future[T], what: str = "", timeout_s: float | None = None) -> T:
        """Return the answer to a question.

        Parameters
        ----------
        future
            Of any method of `AdminClient`.
        what
            What it takes, should it be refused: see `Right.told`.
        timeout_s
            None: the client's own.

        Raises
        ------
        KafkaFaultError, TimeoutError
        """
        with self._explained(what):
            return future.result(timeout_s)

    @contextmanager
    def _explained(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except KafkaException as e:
            self.poll(0)  # which calls `Heard`
            cause = self._heard.cause(e.args[0])
            raise KafkaFaultError(cause, fault_of(cause, self._settings, what)) from None

    def lacking(self, rights: Iterable[Right]) -> list[Right]:
        """Return those rights on topics that the user does not have, as far as the cluster tells.

        Raises
        ------
        KafkaFaultError
            If it does not answer.
        """
        asked = [right for right in rights if right.kind == TOPIC]
        names = TopicCollection(sorted({right.name for right in asked}))
        described = self.describe_topics(
            names, include_authorized_operations=True, request_timeout=ANSWER_S
        )
        held = {name: self._operations(future) for name, future in described.items()}
        return [right for right in asked if right.operation not in held[right.name]]

    def shortfall(self, role: Role, tenant: str) -> str:
        """Return what a role lacks, in a sentence; empty if nothing, see `lacking`."""
        lacking = self.lacking(role.rights(tenant))
        told = ", ".join(right.told for right in lacking)
        return f"{who(self._settings)} lacks {told}; {RIGHTS}" if lacking else ""

    def _operations(self, future: Future[Any]) -> Container[str]:
        """Return the names of the operations that a topic's description allows."""
        try:
            allowed = self.wait(future).authorized_operations
        except KafkaFaultError as e:
            if is_refusal(e.args[0]):
                return ()
            if e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return _ANY
            raise
        return _ANY if allowed is None else {operation.name for operation in allowed}


class _Any:
    """Has everything: the cluster does not tell."""

    def __contains__(self, name: object) -> bool:
        return True


_ANY = _Any()


def fault(error: KafkaException, settings: KafkaSettings, what: str = "") -> Fault:
    """Return what an exception of any client means; see `fault_of`."""
    if isinstance(error, KafkaFaultError):
        return error.fault
    return fault_of(error.args[0], settings, what)
