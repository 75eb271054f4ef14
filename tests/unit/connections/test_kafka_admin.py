"""Clients that ask a cluster, without one."""

import subprocess
import sys

from tests.command import ENVIRONMENT

FORGOTTEN = """
import gc, threading
from confluent_kafka import TopicCollection
from connections.kafka_admin import Admin
from settings.kafka import KafkaSettings

gc.disable()
collected = threading.Event()

def collect(_):
    gc.collect()
    collected.set()

admin = Admin(KafkaSettings(kafka="127.0.0.1:1"), log_level=0)
(answer,) = admin.describe_topics(TopicCollection(["a"]), request_timeout=0.5).values()
answer.add_done_callback(collect)
admin.itself = admin
del admin, answer
print("collected:", collected.wait(60))
"""


def test_a_client_may_be_forgotten_before_its_answer_has_come():
    """Its own thread found it among the garbage, and librdkafka ended the process."""
    argv = [sys.executable, "-c", FORGOTTEN]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "collected: True\n"), done.stderr
