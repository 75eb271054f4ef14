"""The example page in a real browser: it shows recommendations, and its clicks arrive."""

import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cli.stack.layout import PROJECT
from tests.unit.gateway.served_gateway import LIMIT_S, gateway, until
from tests.unit.server.transport.served import Served

NODE, CHROMIUM = shutil.which("node"), shutil.which("chromium")
VISIT = Path(__file__).with_name("visit.js")

WITHOUT = [
    what
    for what, there in (
        ("node", NODE),
        ("chromium", CHROMIUM),
        (
            "playwright-core (npm; NODE_PATH says where)",
            NODE
            and not subprocess.run(
                [NODE, "-e", "require('playwright-core')"], capture_output=True, check=False
            ).returncode,
        ),
    )
    if not there
]


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def shop():
    """A web server with the page, another origin than the gateway's."""
    handler = partial(Silent, directory=PROJECT / "gateway")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def served():
    served = Served()
    served.server.set_serving(True)
    yield served
    served.close()


@pytest.mark.skipif(bool(WITHOUT), reason=f"there is no {', no '.join(WITHOUT)}")
def test_the_page_shows_recommendations_and_sends_clicks_back(shop, served):
    """What people copy; a browser asks before it calls, and a beacon has no headers."""
    with gateway(f"127.0.0.1:{served.port}", gateway_origins=shop) as running:
        query = urlencode({"gateway": running.url, "item": "i3"})
        done = subprocess.run(
            [NODE, VISIT, CHROMIUM, f"{shop}/example.html?{query}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * LIMIT_S,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        until(lambda: served.producer.records)
    assert seen["errors"] == []
    assert len(seen["items"]) == 5
    [(topic, key, value)] = served.producer.records
    event = json.loads(value)
    assert (topic, key, event["type"]) == ("events", seen["session"], "view")
    assert (event["item_id"], event["position"]) == (seen["items"][0], 1)
    assert event["recommendation_id"]


def test_the_page_has_twenty_lines_of_javascript():
    """As the documentation promises."""
    text = (PROJECT / "gateway" / "example.html").read_text()
    script = text.partition("<script>\n")[2].partition("</script>")[0]
    assert 10 < len(script.strip().splitlines()) <= 20
