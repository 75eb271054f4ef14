"""A running server with real models, which says that it is SERVING."""

import pytest

from cli.stack.authority import Authority
from listeners.guard import UNGUARDED, guard_of
from listeners.tokens import Scope
from nextclick import Client, Tls
from tests.tokens import write_tokens
from tests.unit.server.transport.served import LIMIT_S, Served


class Shop:
    """A server, and how its callers reach it: the variables of the examples, and a client."""

    def __init__(self, guard=UNGUARDED, token="", tls=None, environment=None):
        self.served = Served(guard, tls)
        self.served.server.set_serving(True)
        self.port = self.served.port
        self.target = f"localhost:{self.port}" if tls else self.served.target
        self.token, self.tls, self.environment = token, tls, environment or {}
        with self.client() as client:
            client.recommend("s0")  # loads kernels, for which an example would not wait long enough

    def client(self):
        return Client(self.target, timeout_s=LIMIT_S, token=self.token, tls=self.tls)


def secured(folder):
    """Return a shop with TLS and tokens."""
    authority = Authority(folder)
    ca, files = authority.certificate, authority.issue("server")
    tokens = write_tokens(folder / "tokens.json", shop=(Scope.RECOMMEND, Scope.EVENTS))
    token_file = folder / "token"
    token_file.write_text(f"{tokens['shop'].token}\n")
    guard = guard_of(str(folder / "tokens.json"), str(files.certificate), str(files.key))
    environment = {"NEXTCLICK_TOKEN_FILE": str(token_file), "NEXTCLICK_SERVER_CA_FILE": str(ca)}
    return Shop(guard, tokens["shop"].token, Tls(ca), environment)


@pytest.fixture
def plain_shop():
    shop = Shop()
    yield shop
    shop.served.close()


@pytest.fixture(params=["plain", "secured"])
def shop(request, tmp_path):
    shop = secured(tmp_path) if request.param == "secured" else Shop()
    yield shop
    shop.served.close()
