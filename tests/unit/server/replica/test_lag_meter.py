"""The lag: records that are to come, and how long the first of them has waited."""

from server.replica.lag_meter import Lag, LagMeter

A, B = ("sessions", 0), ("sessions", 1)
VECTORS = ("vectors", 0)


class Meter(LagMeter):
    """A meter whose clock is set by hand, in milliseconds."""

    def __init__(self, positions):
        self.now = 1_000_000
        super().__init__(positions, lambda: self.now / 1_000)


def test_records_are_counted_by_topic():
    """An operator looks for what is behind: clicks, or what was learned of them."""
    meter = Meter({A: 3, B: 9, VECTORS: 0})
    meter.note_ends({A: 5, B: 9, VECTORS: 7}, meter.now)
    assert {name: lag.records for name, lag in meter.measure().items()} == {
        "sessions": 2,
        "vectors": 7,
    }


def test_ends_that_were_passed_meanwhile_are_no_lag():
    """The answer is half a second old, and the reader goes on."""
    meter = Meter({A: 9, B: 2})
    meter.note_ends({A: 5, B: 3}, meter.now)
    assert meter.measure()["sessions"].records == 1


def test_the_lag_in_time_counts_from_the_last_record_that_was_applied():
    """While a history is read, it is as old as the place in the history."""
    meter = Meter({A: 3})
    meter.arrived_ms[A] = 400_000
    meter.note_ends({A: 900}, meter.now)
    meter.now += 500
    assert meter.measure()["sessions"] == Lag(897, 600_500)


def test_after_a_quiet_night_the_first_click_is_not_hours_late():
    """What comes next arrived after the last look that found nothing to be read."""
    positions = {A: 3}
    meter = Meter(positions)
    meter.arrived_ms[A] = 1_000
    meter.note_ends({A: 3}, meter.now)
    meter.now += 700
    meter.note_ends({A: 4}, meter.now)
    assert meter.measure()["sessions"] == Lag(1, 700)
    positions[A] = 4
    assert meter.measure()["sessions"] == Lag()


def test_the_partition_that_is_furthest_behind_counts():
    """Half of the visitors would get old answers under a small mean."""
    meter = Meter({A: 3, B: 3})
    meter.note_ends({A: 4, B: 4}, meter.now)
    meter.arrived_ms.update({A: meter.now - 20, B: meter.now - 3_000})
    assert meter.measure()["sessions"] == Lag(2, 3_000)


def test_without_any_record_the_time_counts_from_the_start():
    """0 would say that nothing is late."""
    meter = Meter({A: 0})
    meter.note_ends({A: 10}, meter.now)
    meter.now += 2_000
    assert meter.measure()["sessions"] == Lag(10, 2_000)


def test_a_topic_that_was_made_anew_has_no_past():
    """Its old end would be shown as lag until it has as many records again."""
    meter = Meter({A: 3, VECTORS: 1})
    meter.note_ends({A: 50, VECTORS: 2}, meter.now)
    meter.forget("sessions")
    assert meter.measure()["sessions"] == Lag()
    assert meter.measure()["vectors"].records == 1
