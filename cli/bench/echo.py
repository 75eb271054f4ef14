"""The floor of `bench serving`: a bare server of the same gRPC library that returns constant bytes.

``python -m cli.bench.echo PORT ANSWER``; ANSWER is a file. It parses no request and computes
nothing; it answers on one thread, as the product does.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

METHOD = "/nextclick.bench.Echo/Call"


def main(port: str, answer: str) -> None:
    """Serve until killed."""
    reply = Path(answer).read_bytes()
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: reply)
    service, name = METHOD.strip("/").split("/")
    handlers = grpc.method_handlers_generic_handler(service, {name: handler})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
