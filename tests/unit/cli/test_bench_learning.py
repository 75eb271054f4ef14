"""What `nextclick bench learning` makes of the states that a job publishes."""

import pytest

from cli.bench.learning import FIRST_S, WARM_UP_S, Look, start_and_end


def test_a_job_that_publishes_once_has_figures():
    """A short run on a busy machine ended with a division by zero."""
    figures = start_and_end([Look(0.0, 0, 1.0), Look(4.0, 1_200, 3.0)], 1_000, 1_200)
    assert figures["first_vectors_per_s"] == 300
    assert figures["first_vectors_cpu_us"] == pytest.approx(2e6 / 1_200)


def test_the_first_minute_is_compared_with_what_follows_the_sessions():
    """The warm-up is of neither, and what comes between the two is not, either."""
    times = (0.0, 50.0, 50.0 + WARM_UP_S, 50.0 + WARM_UP_S + FIRST_S, 500.0, 510.0)
    applied = (0, 10, 1_000, 61_000, 100_000, 109_000)
    used = (0.0, 1.0, 2.0, 32.0, 40.0, 49.0)
    looks = [Look(*each) for each in zip(times, applied, used, strict=True)]
    figures = start_and_end(looks, 100_000, 109_000)
    assert figures["first_vectors_per_s"] == 60_000 / FIRST_S
    assert figures["vectors_per_s"] == 900
    assert figures["vectors_ratio"] == pytest.approx(900 / (60_000 / FIRST_S))
    assert (figures["first_vectors_cpu_us"], figures["vectors_cpu_us"]) == (500, 1_000)
