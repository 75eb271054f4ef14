"""The floor of `bench gateway`: a route of FastAPI that returns constant bytes.

``python -m cli.bench.empty_route PORT ANSWER``; ANSWER is a file. It reads no body and asks nobody;
it is served by the same library, loop and parser as the product.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def main(port: str, answer: str) -> None:
    """Serve until killed."""
    content = Path(answer).read_bytes()
    app = FastAPI()

    async def empty() -> Response:
        return Response(content, media_type="application/json")

    app.add_api_route("/{path:path}", empty, methods=["POST"])
    uvicorn.run(
        app,
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
