"""A part that has died is told with its reason; the trace is in its log."""

import doctest

import pytest

from cli.stack import last_words

KAFKA = """\
[main] ERROR kafka.Kafka$ - Exiting Kafka due to fatal exception during startup.
org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:6379
\tat kafka.network.Acceptor.openServerSocket(SocketServer.scala:615)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.nio.ch.Net.bind0(Native Method)
\t... 18 more
[kafka-shutdown-hook] WARN org.apache.kafka.clients.NetworkClient - closed already
"""
PYTHON = """\
2026-11-27 16:00:00 INFO nextclick.server started
Traceback (most recent call last):
  File "/server/__main__.py", line 7, in main
    run()
    ^^^^^
MemoryError: Unable to allocate 5.00 TiB
"""
SAID = {
    KAFKA: "java.net.BindException: Address already in use",
    PYTHON: "MemoryError: Unable to allocate 5.00 TiB",
    "OpenJDK warning\nError: Could not find or load main class kafka.Kafka\n\n": "Error: Could not "
    "find or load main class kafka.Kafka",
    "": "it has not said why",
}


@pytest.mark.parametrize("said", SAID, ids=["Java", "Python", "plain", "nothing"])
def test_the_reason_is_told_without_the_trace(said):
    """A hundred lines of Java scrolled the one that mattered out of sight."""
    assert last_words.cause(said) == SAID[said]


def test_examples_hold():
    """They are what a reader goes by."""
    found = doctest.testmod(last_words)
    assert found.attempted == 2
    assert found.failed == 0
