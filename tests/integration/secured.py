"""A secured broker with a listener for each way to secure one, and clients of all kinds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from cli.stack import kafka, secured_kafka, topics
from cli.stack.authority import Authority, Issued
from cli.stack.java import java_home
from cli.stack.layout import FLINK_JARS, KAFKA_JARS, Home, Ports
from cli.stack.process import stop
from connections.kafka import ALLOWED_URLS, RELOCATED
from settings.kafka import KafkaSettings
from settings.kafka_rights import GROUP, Right
from tests.token_endpoint import AUDIENCE, ISSUER, TokenEndpoint

SECURITY = "org.apache.kafka.common.security"
PASSWORD = 'with "quotes" and \\ in it'
"""What a password may have, and what JAAS must not stumble on."""

SCRAM, PLAIN, TOKENS, CERTIFICATES = "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "certificates"
WAYS = (SCRAM, PLAIN, TOKENS, CERTIFICATES)
"""How a client says who it is."""

LIMIT_S = 60


class SecuredBroker(NamedTuple):
    """The broker, and what its clients need.

    Each role of `settings.kafka_rights` is a user of each of the `WAYS`, with the same rights.
    """

    home: Home
    ports: Ports
    authority: Authority
    tokens: TokenEndpoint
    addresses: dict[str, str]
    certificates: dict[str, Issued]

    def settings(self, role: str, way: str = SCRAM, **changed: str) -> KafkaSettings:
        """Return how a role reaches it, but for what is changed."""
        of_way = {
            SCRAM: {"kafka_password_file": str(self.home.root / "secrets" / "kafka" / role)},
            PLAIN: {"kafka_password_file": str(self.home.root / "password")},
            TOKENS: {
                "kafka_password_file": str(self.home.root / "password"),
                "kafka_token_url": self.tokens.url,
                "kafka_token_scope": "kafka",
            },
            CERTIFICATES: {
                "kafka_certificate_file": str(self.certificates[role].certificate),
                "kafka_key_file": str(self.certificates[role].key),
            },
        }[way]
        if way == CERTIFICATES:
            general = {"kafka_security_protocol": "SSL"}
        else:
            general = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": way}
            general["kafka_username"] = role
        general |= {"kafka": self.addresses[way], "kafka_ca_file": str(self.authority.certificate)}
        return KafkaSettings(**general | of_way | changed)

    @property
    def owner(self):
        """A client that may do everything."""
        return kafka.admin_client(kafka.settings_of(self.home, self.ports, secured_kafka.BROKER))

    @contextmanager
    def without(self, role: str, right: Right) -> Iterator[None]:
        """Take a right from a role for a while."""
        kind = ResourceType.GROUP if right.kind == GROUP else ResourceType.TOPIC
        bound = (kind, right.name, ResourcePatternType.LITERAL, f"User:{role}", "*")
        bound = (*bound, AclOperation[right.operation], AclPermissionType.ALLOW)
        owner = self.owner
        (future,) = owner.delete_acls([AclBindingFilter(*bound)]).values()
        assert len(future.result(LIMIT_S)) == 1, "the role does not have it"
        try:
            yield
        finally:
            (future,) = owner.create_acls([AclBinding(*bound)]).values()
            future.result(LIMIT_S)


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Start a broker, with the topics and the rights of all roles."""
    home, ports, more = Home(folder), Ports.free(), Ports.free()
    authority = Authority(folder)
    issued = authority.issue("broker")
    secured_kafka.secure(home, authority.certificate, issued.certificate, issued.key)
    (folder / "password").write_text(f"{PASSWORD}\n")
    roles = dict.fromkeys(secured_kafka.ROLES, PASSWORD)
    tokens = TokenEndpoint(authority.issue("tokens"), roles)
    addresses = {
        way: f"127.0.0.1:{port}"
        for way, port in zip(WAYS, (ports.kafka, more.kafka, more.grpc, more.http), strict=True)
    }
    own = secured_kafka.properties(home, ports)
    keys = folder / "keys.json"
    keys.write_text(tokens.keys())
    more_listeners = _listeners(own, addresses, keys.as_uri())
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}"
    with (
        mock.patch.object(secured_kafka, "properties", return_value=own | more_listeners),
        mock.patch.dict(os.environ, JAVA_TOOL_OPTIONS=allowed),
    ):
        child = kafka.start(home, ports, bound=True)
    try:
        kafka.wait(home, ports, child)
        broker = SecuredBroker(
            home,
            ports,
            authority,
            tokens,
            addresses,
            {role: authority.issue(role) for role in roles},
        )
        secured_kafka.grant(broker.owner)
        topics.create(kafka.admin_client(broker.settings("operator")))
        yield broker
    finally:
        stop([child])
        tokens.close()


def _listeners(own, addresses, keys):
    names = {PLAIN: "PLAIN", TOKENS: "TOKENS", CERTIFICATES: "CERTIFICATES"}
    listeners = ",".join(f"{name}://{addresses[way]}" for way, name in names.items())
    users = " ".join(f'user_{role}="{_escaped(PASSWORD)}"' for role in secured_kafka.ROLES)
    tokens_of = "listener.name.tokens"
    return {
        "listeners": f"{own['listeners']},{listeners}",
        "advertised.listeners": f"{own['advertised.listeners']},{listeners}",
        "listener.security.protocol.map": f"{own['listener.security.protocol.map']},PLAIN:SASL_SSL,"
        "TOKENS:SASL_SSL,CERTIFICATES:SSL",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{SECURITY}.plain.PlainLoginModule required "
        f"{users};",
        f"{tokens_of}.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{tokens_of}.oauthbearer.sasl.jaas.config": f"{SECURITY}.oauthbearer."
        "OAuthBearerLoginModule required;",
        f"{tokens_of}.oauthbearer.sasl.server.callback.handler.class": f"{SECURITY}.oauthbearer."
        "OAuthBearerValidatorCallbackHandler",
        f"{tokens_of}.sasl.oauthbearer.jwks.endpoint.url": keys,
        f"{tokens_of}.sasl.oauthbearer.expected.audience": AUDIENCE,
        f"{tokens_of}.sasl.oauthbearer.expected.issuer": ISSUER,
        "listener.name.certificates.ssl.client.auth": "required",
        "listener.name.certificates.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
    }


def _escaped(text: str) -> str:
    """Escape for JAAS, and once more for a file of properties."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")


@contextmanager
def flinks_client(allowed_url: str) -> Iterator[JavaGateway]:
    """Start a JVM that has what a TaskManager has of Kafka."""
    jars = [*FLINK_JARS.glob("*.jar"), *KAFKA_JARS.glob("slf4j-*.jar")]
    port = launch_gateway(
        classpath=os.pathsep.join(map(str, jars)),
        java_path=str(java_home() / "bin" / "java"),
        javaopts=[f"-D{ALLOWED_URLS}={allowed_url}"],
        die_on_exit=True,
    )
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    try:
        yield gateway
    finally:
        gateway.shutdown()


def topics_that_flinks_client_sees(gateway, kafka_: str, properties: dict[str, str]) -> set[str]:
    """Ask a cluster for its topics with the client of Flink's connector."""
    config = gateway.jvm.java.util.Properties()
    for name, value in (properties | {"bootstrap.servers": kafka_}).items():
        config.setProperty(name, value)
    package = gateway.jvm
    for part in f"{RELOCATED}.clients.admin".split("."):
        package = getattr(package, part)
    admin = package.Admin.create(config)
    try:
        seconds = gateway.jvm.java.util.concurrent.TimeUnit.SECONDS
        return set(admin.listTopics().names().get(LIMIT_S, seconds))
    finally:
        admin.close()
