"""A Kafka that holds records, as far as one client that reads whole partitions sees it."""

from types import SimpleNamespace

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, TopicPartition

EOF = KafkaError._PARTITION_EOF


class KafkaOfRecords:
    """Topics of one partition or more; ``None`` in the place of a record: it was compacted away."""

    def __init__(self, **topics):
        self.topics = topics
        self.config, self.closed = {}, False

    def list_topics(self, name, timeout):
        parts = self.topics.get(name)
        held = SimpleNamespace(
            error=None if parts is not None else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART),
            partitions=dict.fromkeys(range(len(parts or ()))),
        )
        return SimpleNamespace(topics={name: held})

    def consumer(self, config):
        """What `confluent_kafka.Consumer` would be."""
        self.config = config
        return _Consumer(self)


class _Message:
    def __init__(self, record, part, offset, error=None):
        self._record, self._part, self._offset, self._error = record, part, offset, error

    def error(self):
        return self._error

    def partition(self):
        return self._part

    def offset(self):
        return self._offset

    def key(self):
        return self._record[0]

    def value(self):
        return self._record[1]

    def timestamp(self):
        return TIMESTAMP_LOG_APPEND_TIME, self._record[2]


class _Consumer:
    def __init__(self, kafka):
        self._kafka, self._at = kafka, {}

    def offsets_for_times(self, asked, timeout):
        found = []
        for p in asked:
            records = self._kafka.topics[p.topic][p.partition]
            newer = (n for n, r in enumerate(records) if r is not None and r[2] >= p.offset)
            found.append(TopicPartition(p.topic, p.partition, next(newer, -1)))
        return found

    def get_watermark_offsets(self, part, timeout):
        return 0, len(self._kafka.topics[part.topic][part.partition])

    def assign(self, parts):
        self._at = {(p.topic, p.partition): p.offset for p in parts}

    def consume(self, most, timeout):
        found = []
        for (name, part), at in self._at.items():
            records = self._kafka.topics[name][part]
            for offset in range(at, len(records)):
                self._at[name, part] = offset + 1
                if records[offset] is not None:
                    found.append(_Message(records[offset], part, offset))
            if at <= len(records):
                found.append(
                    _Message(None, part, len(records), KafkaError(KafkaError._PARTITION_EOF))
                )
                self._at[name, part] = len(records) + 1
        return found

    def close(self):
        self._kafka.closed = True
