"""A broker as far as consumer groups see it: records, and how far each group has committed."""

from collections import Counter
from types import SimpleNamespace

from confluent_kafka import TopicPartition

PARTITIONS = 4
NONE_YET = -1001
"""The offset of a partition of which a group has committed none."""


class KafkaOfGroups:
    """Records are counted; those that retention has deleted are at the beginning."""

    def __init__(self):
        self.ends, self.starts, self.committed = Counter(), Counter(), {}

    def write(self, topic, partition):
        self.ends[topic, partition] += 1

    def delete_oldest(self, topic, partition):
        self.starts[topic, partition] += 1

    def read(self, group, topic):
        """Commit all that a topic has, as a job does at a checkpoint."""
        for partition in range(PARTITIONS):
            self.committed[group, topic, partition] = self.ends[topic, partition]

    def consumer(self, config):
        """Return what `confluent_kafka.Consumer` would be."""
        return _Consumer(self, config["group.id"])


class _Consumer:
    def __init__(self, kafka, group):
        self._kafka, self._group = kafka, group

    def list_topics(self, topic, timeout):
        partitions = dict.fromkeys(range(PARTITIONS))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions)})

    def committed(self, parts, timeout):
        held = self._kafka.committed
        return [
            TopicPartition(
                p.topic, p.partition, held.get((self._group, p.topic, p.partition), NONE_YET)
            )
            for p in parts
        ]

    def get_watermark_offsets(self, part, timeout):
        place = part.topic, part.partition
        return self._kafka.starts[place], self._kafka.ends[place]

    def close(self):
        pass
