"""What `nextclick status` says of the learners."""

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
