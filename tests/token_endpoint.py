"""An authority of OAuth 2 that gives tokens to client credentials, as far as Kafka needs one."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cli.stack.authority import Issued

ISSUER, AUDIENCE, KEY = "https://tokens.example", "kafka", "first"


class TokenEndpoint:
    """Serves `url` over HTTPS until it is closed.

    Parameters
    ----------
    issued
        Its certificate, for 127.0.0.1.
    secrets
        The secret of each client by its id.
    """

    def __init__(self, issued: Issued, secrets: dict[str, str]) -> None:
        self._secrets = secrets
        self._key = rsa.generate_private_key(65537, 2048)
        self.scopes: list[str] = []
        """Those that were asked for."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = parse_qs(self.rfile.read(length).decode())
                _, _, given = (self.headers["Authorization"] or "").partition("Basic ")
                client, _, secret = base64.b64decode(given).decode().partition(":")
                if endpoint._secrets.get(unquote(client)) != unquote(secret):
                    self._reply(401, {"error": "invalid_client"})
                    return
                endpoint.scopes += form.get("scope", [])
                token = endpoint._token(unquote(client), " ".join(form.get("scope", ["kafka"])))
                self._reply(
                    200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
                )

            def _reply(self, code: int, body: dict[str, object]) -> None:
                raw = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/token"

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _token(self, client: str, scope: str) -> str:
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": KEY}
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": client, "scope": scope}
        claims |= {"iat": now, "exp": now + 3600}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    def keys(self) -> str:
        """Return what brokers check tokens by, as JSON."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_encoded(x.to_bytes((x.bit_length() + 7) // 8)) for x in (numbers.n, numbers.e))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY, "n": n, "e": e}
        return json.dumps({"keys": [key]})


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
