"""How clients are told to reach Kafka: one set of settings for both kinds of client.

librdkafka, in our own processes, gets the secrets themselves, read from their files. Flink's Java
client gets references to the files, which the JobManager and the TaskManagers read: Flink shows and
logs how a job is configured, and keeps it with the job's state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from settings.kafka import KafkaSettings

RELOCATED = "org.apache.flink.kafka.shaded.org.apache.kafka"
"""The package of Kafka's classes in Flink's connector. The build that moved them there has renamed
all texts that look like their names, too, system properties among them."""

ALLOWED_URLS = f"{RELOCATED}.sasl.oauthbearer.allowed.urls"
"""The system property that names the token endpoints that Java's client may ask."""

SECRETS, FURTHER = "secret", "file"
"""Providers, in the configuration of Java's client, of what is in a file: our helper's, of a whole
file; Kafka's own, of one property in a file."""

_PROVIDERS = {
    "config.providers": f"{SECRETS},{FURTHER}",
    f"config.providers.{SECRETS}.class": "nextclick.SecretFile",
    f"config.providers.{FURTHER}.class": f"{RELOCATED}.common.config.provider.FileConfigProvider",
}

WHOLE, QUOTED = "whole", "quoted"
"""How `SecretFile.java` gives a secret: as it is, or as it stands between the quotes of JAAS."""

KINDS = ("librdkafka", "java")
"""Prefixes, in the file of further properties, of those that one kind of client knows."""


class FurtherProperty(NamedTuple):
    """A line of the file of further properties: the property, and its name there."""

    name: str
    value: str
    key: str


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return the configuration that all of our clients of librdkafka begin with.

    A client adds what it needs after it, so that no further property of a file can change, say, the
    partitioner.

    Raises
    ------
    SystemExit
        If a file cannot be read or used, or a property does not exist, with a sentence.
    """
    config: dict[str, Any] = {
        **{entry.name: entry.value for entry in further_properties(settings, "librdkafka")},
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_security_protocol,
        "log_level": 2,
    }
    for name in ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file"):
        if path := getattr(settings, name):
            _text_of(name.upper(), path)  # the client's own error would not say which file
    if settings.kafka_ca_file:
        config["ssl.ca.location"] = settings.kafka_ca_file
    if settings.kafka_certificate_file:
        config["ssl.certificate.location"] = settings.kafka_certificate_file
        config["ssl.key.location"] = settings.kafka_key_file
    if settings.kafka_sasl:
        config |= _sasl(settings)
    _check(config, settings)
    return config


def _sasl(settings: KafkaSettings) -> dict[str, Any]:
    secret = _text_of("KAFKA_PASSWORD_FILE", settings.kafka_password_file).rstrip("\r\n")
    user: dict[str, Any] = {"sasl.mechanism": settings.kafka_sasl_mechanism}
    if settings.kafka_sasl_mechanism != "OAUTHBEARER":
        return user | {"sasl.username": settings.kafka_username, "sasl.password": secret}
    user |= {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.kafka_token_url,
        "sasl.oauthbearer.client.id": settings.kafka_username,
        "sasl.oauthbearer.client.secret": secret,
    }
    if settings.kafka_token_scope:
        user["sasl.oauthbearer.scope"] = settings.kafka_token_scope
    if settings.kafka_ca_file:
        user["https.ca.location"] = settings.kafka_ca_file
    return user


def _check(config: Mapping[str, Any], settings: KafkaSettings) -> None:
    """Make a client that connects to nobody: what is wrong with the settings is told at once."""
    if config.keys() == {"bootstrap.servers", "security.protocol", "log_level"}:
        return
    from confluent_kafka import KafkaException  # noqa: PLC0415 - the jobs do without
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    offline = {name: value for name, value in config.items() if name != "bootstrap.servers"}
    try:
        AdminClient(offline | {"log_level": 0})
    # Those that are not Kafka's are of properties that Python's client has for its own, such as
    # error_cb: they are functions.
    except (KafkaException, AttributeError, TypeError, ValueError) as e:
        said = e.args[0].str() if isinstance(e, KafkaException) else str(e)
        path = settings.kafka_properties_file
        where = (
            f"; of the properties in {path}, those that only Flink's client knows begin with java."
            if path
            else ""
        )
        raise SystemExit(f"Kafka's client refuses the settings: {said}{where}") from None


def java_properties(settings: KafkaSettings) -> dict[str, str]:
    """Return the same for the Java client of Flink's connector, with references to the files.

    JobManager and TaskManagers need the files at the same paths: the one looks for partitions, the
    others read and write. The bootstrap servers are not among the properties.

    Raises
    ------
    SystemExit
        If the file of further properties cannot be read.
    """
    path = settings.kafka_properties_file
    properties = {
        entry.name: f"${{{FURTHER}:{path}:{entry.key}}}"
        for entry in further_properties(settings, "java")
    }
    properties["security.protocol"] = settings.kafka_security_protocol
    if settings.kafka_ca_file:
        properties["ssl.truststore.type"] = "PEM"
        properties["ssl.truststore.location"] = settings.kafka_ca_file
    if settings.kafka_certificate_file:
        properties["ssl.keystore.type"] = "PEM"
        properties["ssl.keystore.certificate.chain"] = _secret(settings.kafka_certificate_file)
        properties["ssl.keystore.key"] = _secret(settings.kafka_key_file)
    if settings.kafka_sasl:
        properties |= _java_sasl(settings)
    refers = any("${" in value for value in properties.values())
    return properties | (_PROVIDERS if refers else {})


def _java_sasl(settings: KafkaSettings) -> dict[str, str]:
    security, mechanism = f"{RELOCATED}.common.security", settings.kafka_sasl_mechanism
    properties: dict[str, str] = {"sasl.mechanism": mechanism}
    if mechanism != "OAUTHBEARER":
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        user = f'username="{_escaped(settings.kafka_username)}"'
        password = f'password="{_secret(settings.kafka_password_file, QUOTED)}"'
        properties["sasl.jaas.config"] = f"{security}.{module} required {user} {password};"
        return properties
    trusted = ""
    if settings.kafka_ca_file:  # that of the token's URL is a connection of its own
        path = _escaped(settings.kafka_ca_file)
        trusted = f' ssl.truststore.type="PEM" ssl.truststore.location="{path}"'
    properties |= {
        "sasl.jaas.config": f"{security}.oauthbearer.OAuthBearerLoginModule required{trusted};",
        "sasl.login.callback.handler.class": f"{security}.oauthbearer."
        "OAuthBearerLoginCallbackHandler",
        "sasl.oauthbearer.token.endpoint.url": settings.kafka_token_url,
        "sasl.oauthbearer.client.credentials.client.id": settings.kafka_username,
        "sasl.oauthbearer.client.credentials.client.secret": _secret(settings.kafka_password_file),
    }
    if settings.kafka_token_scope:
        properties["sasl.oauthbearer.scope"] = settings.kafka_token_scope
    return properties


def _secret(path: str, how: str = WHOLE) -> str:
    """Return a reference to what is in a file, as `SecretFile.java` resolves it."""
    return f"${{{SECRETS}:{path}:{how}}}"


def _escaped(text: str) -> str:
    """Return a text as it stands between quotes in the configuration of JAAS."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def further_properties(settings: KafkaSettings, kind: str) -> Iterator[FurtherProperty]:
    """Yield the properties of the file that are for one of `KINDS` of clients.

    A file, not variables: names of properties have dots, which variables of a shell cannot have,
    some values are secrets, and all tools of Kafka take such files.

    Raises
    ------
    SystemExit
        If the file cannot be read, or a line is none.
    """
    path = settings.kafka_properties_file
    lines = _text_of("KAFKA_PROPERTIES_FILE", path).splitlines() if path else []
    for number, line in enumerate(lines, 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or key.startswith(("#", "!")):
            continue
        if not equals or "\\" in line or re.search(r"[\s:]", key):
            raise SystemExit(
                f"NEXTCLICK_KAFKA_PROPERTIES_FILE: line {number} of {path} is not name=value; "
                "a backslash is not taken"
            )
        of, _, rest = key.partition(".")
        if of == kind:
            yield FurtherProperty(rest, value, key)
        elif of not in KINDS:
            yield FurtherProperty(key, value, key)


def _text_of(setting: str, path: str) -> str:
    """Return what is in a file that a setting names."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no UTF-8"
        raise SystemExit(f"NEXTCLICK_{setting}: {path} cannot be read: {why}") from None
