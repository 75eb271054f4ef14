"""Pages of other origins: which may call, and what their browsers ask first."""

import pytest

from settings.gateway import GatewaySettings
from tests.unit.gateway.served_gateway import gateway
from tests.unit.nextclick.fake_server import serving

SHOP = "https://shop.example"
ASKED = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,grpc-timeout,traceparent",
}


@pytest.fixture(params=[SHOP, f"https://other.example, {SHOP}", "*"])
def open_gateway(request, fake):
    with serving(fake) as target, gateway(target, gateway_origins=request.param) as running:
        yield running


def test_a_page_of_a_named_origin_may_call(open_gateway):
    """With a token, a deadline and a trace; and by a beacon, which comes with credentials."""
    answer = open_gateway.ask("OPTIONS", "/v1/recommend", headers={"origin": SHOP} | ASKED)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_an_answer_says_that_its_page_may_read_it(open_gateway, fake):
    """Also one that is a problem: the page would see a network error. And when to try again."""
    answer = open_gateway.call("recommend", {"no": 1}, origin=SHOP)
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_pages_of_other_origins_may_not(fake):
    """Their browsers keep them from calling, and from reading answers."""
    with serving(fake) as target, gateway(target, gateway_origins=SHOP) as running:
        other = {"origin": "https://evil.example"}
        answer = running.ask("OPTIONS", "/v1/recommend", headers=other | ASKED)
        assert answer.status == 400
        assert "access-control-allow-origin" not in answer.headers
        answer = running.call("recommend", {"no": 1}, **other)
        assert "access-control-allow-origin" not in answer.headers


def test_without_origins_no_page_may(rest):
    """That is the default."""
    answer = rest.ask("OPTIONS", "/v1/recommend", headers={"origin": SHOP} | ASKED)
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("text", ["shop.example", f"{SHOP}/", f"{SHOP}/page", "https://a b,*x"])
def test_what_is_no_origin_is_refused(text):
    """No browser would send it, and the page would never be let in."""
    with pytest.raises(ValueError, match="is no origin"):
        GatewaySettings(gateway_origins=text)
