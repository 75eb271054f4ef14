"""The admin client of a cluster whose topics are as declared, but for what a test changes."""

from types import SimpleNamespace

from confluent_kafka import KafkaError, KafkaException

from cli.stack.topics import IN_SYNC
from nextclick.topics import EVENTS, ITEMS, SESSIONS, TOPICS, topic


class Future:
    def __init__(self, value):
        self.value = value

    def result(self, timeout):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def partition(replicas):
    return SimpleNamespace(replicas=list(range(replicas)))


class Broker:
    """``brokers`` of them; ``refused`` is raised for each topic that is to be created."""

    def __init__(self, tenant="", brokers=1, refused=None):
        self.brokers = dict.fromkeys(range(brokers))
        self.copies = min(brokers, 3)
        self.refused = refused
        self.topics = {
            topic(name, tenant): SimpleNamespace(
                partitions={part: partition(self.copies) for part in range(t.partitions)}
            )
            for name, t in TOPICS.items()
        }
        self.settings = {
            topic(name, tenant): t.config | {IN_SYNC: str(max(self.copies - 1, 1))}
            for name, t in TOPICS.items()
        }
        self.created, self.hidden = [], None

    def add_partition(self, name):
        partitions = self.topics[name].partitions
        partitions[len(partitions)] = partition(self.copies)

    def list_topics(self, timeout):
        return SimpleNamespace(topics=self.topics, brokers=self.brokers)

    def describe_topics(self, names):
        """Tell the same of each: there is none of that name, or what ``hidden`` says."""
        unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return {name: Future(self.hidden or unknown) for name in names.topic_names}

    def wait(self, future, what="", timeout_s=None):
        return future.result(timeout_s)

    def describe_configs(self, resources):
        return {
            resource: Future(
                {
                    name: SimpleNamespace(value=str(value))
                    for name, value in self.settings[resource.name].items()
                }
            )
            for resource in resources
        }

    def create_topics(self, new):
        self.created += new
        return {entry.topic: Future(self.refused) for entry in new}

    def list_offsets(self, asked, request_timeout):
        """Each partition has the offsets from its number to a hundred times that."""
        earliest = {spec._value for spec in asked.values()} == {-2}
        return {
            part: Future(SimpleNamespace(offset=part.partition * (1 if earliest else 100)))
            for part in asked
        }


def without_events():
    """A cluster without one of the topics."""
    broker = Broker()
    del broker.topics[EVENTS]
    return broker


def wrong_in_part():
    """A cluster that somebody has set up by hand."""
    broker = without_events()
    broker.settings[SESSIONS] |= {"cleanup.policy": "delete", "retention.ms": "604800000"}
    broker.settings[ITEMS]["message.timestamp.type"] = "CreateTime"
    broker.add_partition(ITEMS)
    return broker
