"""A name server on loopback: every name has the addresses that the test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEADER = struct.Struct(">HHHHHH")
ANSWER = struct.Struct(">HHHIH4s")
RESPONSE = 0x8180
"""Flags: a response, recursion desired and available, no error."""
NAME_OF_QUESTION = 0xC00C
IPV4 = 1


class NameServer:
    """Answers questions for IPv4 addresses; there are no others. ``addresses`` may be changed."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Answer until an empty question comes."""
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), client)

    def end(self) -> None:
        """Have `serve` return."""
        self._socket.sendto(b"", self._socket.getsockname())

    def _answer(self, message: bytes) -> bytes:
        name_end = message.index(b"\0", HEADER.size)
        question = message[HEADER.size : name_end + 5]
        (kind,) = struct.unpack_from(">H", message, name_end + 1)
        answers = [
            ANSWER.pack(NAME_OF_QUESTION, IPV4, 1, 0, 4, socket.inet_aton(address))
            for address in (self.addresses if kind == IPV4 else ())
        ]
        (number,) = struct.unpack_from(">H", message)
        return HEADER.pack(number, RESPONSE, 1, len(answers), 0, 0) + question + b"".join(answers)


@contextmanager
def naming(addresses: list[str]) -> Iterator[NameServer]:
    """Answer questions while the block runs."""
    server = NameServer(addresses)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.end()
        thread.join()
