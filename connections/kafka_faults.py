"""What is wrong when Kafka does not answer or refuses: sentences, and what to do about it."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from settings.kafka import KafkaSettings

RIGHTS = "docs/security.md has the rights of each role"


class Error(Protocol):
    """`confluent_kafka.KafkaError`, as far as it is asked."""

    def name(self) -> str:
        """Return the name of its code."""

    def str(self) -> str:
        """Return what the client says."""


class Fault(NamedTuple):
    """What is wrong, and what to do."""

    found: str
    to_do: str

    @property
    def told(self) -> str:
        """Both in one line."""
        return f"{self.found}; {self.to_do}"


_REFUSED = {
    "TOPIC_AUTHORIZATION_FAILED": "topic",
    "GROUP_AUTHORIZATION_FAILED": "consumer group",
    "CLUSTER_AUTHORIZATION_FAILED": "cluster",
}
"""Codes of what an authorizer refuses, and for what."""

_NO_ANSWER = ("_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TIMED_OUT_QUEUE")
"""Codes of a broker that is silent, or somebody else."""

_GENERAL, _OF_TRANSPORT, _OF_CAUSE = range(3)

_TELLING = {
    "_AUTHENTICATION": _OF_CAUSE,
    "_TRANSPORT": _OF_TRANSPORT,
    "_RESOLVE": _OF_TRANSPORT,
}
"""How much the code of an error of a connection tells; all others just say that none came about."""

_CONNECTION = re.compile(r"^\S+?/(?:bootstrap|\d+): ")
"""How librdkafka names a connection: ``sasl_ssl://broker:9092/bootstrap: ``."""


class Heard:
    """Hears what a client says of its connections, for when a call only says that none answered.

    Give it as ``error_cb``; the client calls it while it is polled.
    """

    def __init__(self) -> None:
        self._last: Error | None = None

    def __call__(self, error: Error) -> None:
        """Keep the error that tells most."""
        if self._last is None or _rank(error) >= _rank(self._last):
            self._last = error

    def cause(self, error: Error) -> Error:
        """Return why a call has failed: the error itself, or what was heard if that tells more."""
        heard, self._last = self._last, None
        if is_refusal(error) or heard is None:
            return error
        return heard if _rank(heard) >= _rank(error) else error


def _rank(error: Error) -> int:
    return _OF_CAUSE if _is_of_tls(error) else _TELLING.get(error.name(), _GENERAL)


def _is_of_tls(error: Error) -> bool:
    """Whether TLS has failed; what a broker sends about it comes as an error of transport."""
    return error.name() == "_SSL" or "SSL routines" in error.str()


def fault_of(error: Error, settings: KafkaSettings, what: str = "") -> Fault:
    """Return what an error of Kafka's means.

    Parameters
    ----------
    error
        Best the one that `Heard.cause` returns.
    settings
        Where Kafka is, and as whom it was asked.
    what
        What was asked for, such as ``READ on the topic events``, if that is known.
    """
    name, said = error.name(), _CONNECTION.sub("", error.str())
    if name in _REFUSED:
        refused = what or f"what was asked of a {_REFUSED[name]}"
        return Fault(f"{who(settings)} is refused {refused} ({said})", f"grant it: {RIGHTS}")
    at = settings.kafka
    if name == "_AUTHENTICATION":
        return Fault(f"{at} does not let {who(settings)} in: {said}", _of_user(settings))
    if _is_of_tls(error):
        return Fault(f"no TLS with {at}: {said}", _of_certificates(said, settings))
    if name not in _NO_ANSWER:
        return Fault(f"{at}: {said}", "`nextclick doctor` looks for what it lacks")
    protocol = settings.kafka_security_protocol
    return Fault(
        f"{at} does not answer: {said}",
        "start Kafka, or set NEXTCLICK_KAFKA to its address and NEXTCLICK_KAFKA_SECURITY_PROTOCOL "
        f"(now {protocol}) to what its listener there speaks",
    )


def is_refusal(error: Error) -> bool:
    """Whether an authorizer has refused something."""
    return error.name() in _REFUSED


def for_callers(error: Error, what: str) -> str:
    """Return what an error says to those who are not to know as whom Kafka was asked."""
    return f"Kafka refuses {what}" if is_refusal(error) else error.str()


def who(settings: KafkaSettings) -> str:
    """Return as whom Kafka is asked."""
    if settings.kafka_sasl:
        return f"the user {settings.kafka_username}"
    if settings.kafka_certificate_file:
        return f"the user of {settings.kafka_certificate_file}"
    return "a user without a name"


def _of_user(settings: KafkaSettings) -> str:
    if not settings.kafka_sasl:
        return "set NEXTCLICK_KAFKA_SECURITY_PROTOCOL to what its listener speaks"
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return (
            f"check NEXTCLICK_KAFKA_TOKEN_URL ({settings.kafka_token_url}), the client's id in "
            "NEXTCLICK_KAFKA_USERNAME and its secret in the file NEXTCLICK_KAFKA_PASSWORD_FILE"
        )
    return (
        "check NEXTCLICK_KAFKA_USERNAME, the password in the file NEXTCLICK_KAFKA_PASSWORD_FILE, "
        f"and whether the user has one for {settings.kafka_sasl_mechanism} "
        "(NEXTCLICK_KAFKA_SASL_MECHANISM)"
    )


def _of_certificates(said: str, settings: KafkaSettings) -> str:
    if "verify" in said:
        trusted = settings.kafka_ca_file or "the system's authorities"
        return (
            f"its certificate is checked by {trusted}: set NEXTCLICK_KAFKA_CA_FILE to that of its "
            "authority, and NEXTCLICK_KAFKA to a name that the certificate has"
        )
    return (
        "set NEXTCLICK_KAFKA_SECURITY_PROTOCOL to what its listener there speaks; if it asks for a "
        "certificate, NEXTCLICK_KAFKA_CERTIFICATE_FILE and NEXTCLICK_KAFKA_KEY_FILE"
    )
