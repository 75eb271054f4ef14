"""A broker of the stack that takes TLS connections of known users, each with its role's rights.

A stack is secured if its folder has the secrets, a file for each user. The broker makes its users
of them when its data are formatted, and keeps them there as SCRAM does: salted and hashed.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from cli.errors import CommandError
from cli.stack.layout import Home, Ports
from cli.stack.secret_files import write
from settings.kafka_rights import GROUP, ROLES, TOPIC

BROKER = "broker"
"""The user that the broker is for itself, and that may do everything."""

USERS = (*ROLES, BROKER)

MECHANISM = "SCRAM-SHA-512"

GRANTED_S = 30.0

_KINDS = {TOPIC: ResourceType.TOPIC, GROUP: ResourceType.GROUP}


def _folder(home: Home) -> Path:
    return home.root / "secrets" / "kafka"


def is_secured(home: Home) -> bool:
    """Whether the stack of a folder has a secured broker."""
    return (_folder(home) / BROKER).exists()


def secure(home: Home, authority: Path, certificate: Path, key: Path) -> None:
    """Make the secrets of a stack that has not been started yet.

    Parameters
    ----------
    home
        Its folder.
    authority
        Certificate that clients check the broker's by.
    certificate, key
        The broker's, for 127.0.0.1; the key as PKCS#8. All are PEM.

    Raises
    ------
    CommandError
        If the broker has data already, and so no users or other ones.
    """
    if (home.root / "kafka" / "data" / "meta.properties").exists():
        raise CommandError(
            f"the Kafka of {home.root} has data already: a broker is secured before its first start"
        )
    folder = home.path("secrets", "kafka")
    folder.chmod(0o700)
    write(folder / "authority.pem", authority.read_text())
    write(folder / "broker.pem", key.read_text() + certificate.read_text())
    for user in USERS:
        write(folder / user, secrets.token_urlsafe(24))


def client(home: Home, user: str) -> dict[str, str]:
    """Return the settings by which a user reaches the broker, beside its address."""
    folder = _folder(home)
    return {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": MECHANISM,
        "kafka_username": user,
        "kafka_password_file": str(folder / user),
        "kafka_ca_file": str(folder / "authority.pem"),
    }


def properties(home: Home, ports: Ports) -> dict[str, Any]:
    """Return the broker's settings, where they differ from those of one that is not secured."""
    folder = _folder(home)
    password = (folder / BROKER).read_text()
    jaas = f'required username="{BROKER}" password="{password}"'
    security = "org.apache.kafka.common.security"
    return {
        "listeners": f"SASL_SSL://127.0.0.1:{ports.kafka},"
        f"CONTROLLER://127.0.0.1:{ports.kafka_controller}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{ports.kafka}",
        "listener.security.protocol.map": "CONTROLLER:SASL_SSL,SASL_SSL:SASL_SSL",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": MECHANISM,
        f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": f"{security}.scram."
        f"ScramLoginModule {jaas};",
        # Users of SCRAM are in the data, which the controller serves: its own is in this file.
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule "
        f'{jaas} user_{BROKER}="{password}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "broker.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "authority.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{BROKER}",
    }


def users(home: Home) -> str:
    """Return arguments that make the users when data are formatted, a line for each."""
    folder = _folder(home)
    return "".join(
        f"--add-scram\n{MECHANISM}=[name={user},password={(folder / user).read_text()}]\n"
        for user in USERS
    )


def grant(admin: AdminClient, tenant: str = "") -> None:
    """Give each role its rights for a tenant; those that it has already stay."""
    bindings = [
        AclBinding(
            _KINDS[right.kind],
            right.name,
            ResourcePatternType.LITERAL,
            f"User:{role.name}",
            "*",
            AclOperation[right.operation],
            AclPermissionType.ALLOW,
        )
        for role in ROLES.values()
        for right in role.rights(tenant)
    ]
    for future in admin.create_acls(bindings).values():
        future.result(GRANTED_S)
