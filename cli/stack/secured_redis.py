"""A Redis of the stack that takes TLS connections of known users, each with its role's rights.

A stack is secured if its folder has the secrets, a file for each user.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from cli.stack.layout import Home, Ports
from cli.stack.secret_files import write

RIGHTS = {
    "store": "-@all +eval +evalsha +hget +hgetall +hset +hmget +del +expire +type +asking "
    "+cluster|slots",
    "server": "-@all +hget +cluster|slots",
}
"""What each role may do with keys of ours; docs/security.md has the same."""

KEYS = "~nextclick:*"


def _folder(home: Home) -> Path:
    return home.root / "secrets" / "redis"


def is_secured(home: Home) -> bool:
    """Whether the stack of a folder has a secured Redis."""
    return (_folder(home) / "users.acl").exists()


def secure(home: Home, authority: Path, certificate: Path, key: Path) -> None:
    """Make the secrets of a stack that has not been started yet.

    Parameters
    ----------
    home
        Its folder.
    authority
        Certificate that clients check that of Redis by.
    certificate, key
        Those of Redis, for 127.0.0.1. All are PEM.
    """
    folder = home.path("secrets", "redis")
    folder.chmod(0o700)
    for name, file in (("authority.pem", authority), ("redis.pem", certificate), ("key.pem", key)):
        write(folder / name, file.read_text())
    users = ["user default off"]
    for role, rights in RIGHTS.items():
        password = secrets.token_urlsafe(24)
        write(folder / role, password)
        users.append(f"user {_user(role)} on >{password} {KEYS} {rights}")
    write(folder / "users.acl", "\n".join(users) + "\n")


def options(home: Home, ports: Ports) -> list[str]:
    """Return the options of the server, beside those of one that is not secured."""
    folder = _folder(home)
    files = {
        "--tls-cert-file": "redis.pem",
        "--tls-key-file": "key.pem",
        "--tls-ca-cert-file": "authority.pem",
        "--aclfile": "users.acl",
    }
    argv = ["--port", "0", "--tls-port", str(ports.redis), "--tls-auth-clients", "no"]
    return argv + [text for name, file in files.items() for text in (name, str(folder / file))]


def client(home: Home, ports: Ports, role: str) -> dict[str, Any]:
    """Return the settings by which a role reaches it."""
    folder = _folder(home)
    return {
        "redis": f"rediss://{_user(role)}@127.0.0.1:{ports.redis}/0",
        "redis_password_file": str(folder / role),
        "redis_ca_file": str(folder / "authority.pem"),
    }


def _user(role: str) -> str:
    return f"nextclick-{role}"
