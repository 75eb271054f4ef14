"""What `nextclick status` says of the learners."""

from cli.stack import flink
from cli.stack.layout import Ports
from cli.status import learned


def test_the_share_of_the_ranker_counts_what_never_reached_it():
    """All examples that it got may be learned, while most clicks made none."""
    learner = {"applied": 60, "passed_over": 10, "sampling": False}
    assert learned(learner, {}) == {"share": 1 - 10 / 60, "sampling": False}
    before = {"passed_over": 40, "sampling": True}
    assert learned(learner, before) == {"share": 0.5, "sampling": True}


def test_a_learner_that_has_got_nothing_has_no_share():
    """The stack has just started, or its server does not answer."""
    assert learned({}, {}) == {"share": None, "sampling": False}


def test_what_a_task_has_passed_over_is_that_of_its_own_operator(monkeypatch):
    """All tasks run as one job; a run that has just started has no metrics yet."""
    vertices = [
        {"id": "1", "name": "Source: vectors-input"},
        {"id": "2", "name": "learn-vectors -> vectors: Writer"},
        {"id": "3", "name": "learn-ranker -> ranker: Writer"},
    ]
    answers = {
        "jobs/f": {"vertices": vertices},
        "jobs/f/vertices/2/subtasks/metrics?get=learn-vectors.refused": [
            {"id": "learn-vectors.refused", "min": 3.0, "max": 4.0, "avg": 3.5, "sum": 7.0}
        ],
        "jobs/f/vertices/3/subtasks/metrics?get=learn-ranker.refused": [],
    }
    monkeypatch.setattr(flink, "rest", lambda _, path: answers.get(path))
    assert flink.refused(Ports(), "f", "learn-vectors") == 7
    assert flink.refused(Ports(), "f", "learn-ranker") == 0
    assert flink.refused(Ports(), "gone", "learn-vectors") == 0
