"""Flink's part, played by a test: states by name, and timers whose clock is set by hand."""

from streaming.jobs.task_operator import TaskOperator


class Value:
    def __init__(self):
        self.held = None

    def value(self):
        return self.held

    def update(self, value):
        self.held = value


class Map:
    def __init__(self):
        self.held = {}

    def get(self, key):
        return self.held.get(key)

    def put(self, key, value):
        self.held[key] = value

    def put_all(self, values):
        self.held.update(values)

    def remove(self, key):
        self.held.pop(key, None)

    def items(self):
        return list(self.held.items())

    def values(self):
        return list(self.held.values())

    def clear(self):
        self.held.clear()


class Counter:
    count = 0

    def inc(self):
        self.count += 1


class Host:
    """Flink's part: states and counters by name, a timer service whose clock is set by hand."""

    def __init__(self, make):
        self.states = {}
        self.counters = {}
        self.timers = set()
        self.now = 0
        self.make = make
        self.start()

    def start(self):
        """A new operator over the states that there are."""
        self.operator = TaskOperator(self.make, "")
        self.operator.open(self)

    def get_metrics_group(self):
        return self

    def counter(self, name):
        return self.counters.setdefault(name, Counter())

    def get_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Value())

    def get_map_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Map())

    def timer_service(self):
        return self

    def register_processing_time_timer(self, timestamp):
        self.timers.add(timestamp)

    def current_processing_time(self):
        return self.now

    def feed(self, record):
        assert not list(self.operator.process_element(tuple(record), self))

    def publish(self):
        """Let the timers fire that are due next; what is published, by topic and key."""
        if not self.timers:
            list(self.operator.on_timer(0, self))
        due, self.timers = self.timers, set()
        rows = [row for timer in sorted(due) for row in self.operator.on_timer(timer, self)]
        return {(row[0], row[1].decode()): row[2] for row in rows}
