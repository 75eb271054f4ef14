"""Policies go by name: each name is of one policy."""

import pytest

from online_models.ranking.policies import by_name, make_policy


def policy(called):
    return type("Made", (), {"name": called})


def test_two_policies_of_one_name_are_refused():
    """The later one silently took the place of the other: the answers were those of a stranger."""
    one, other = policy("greedy"), policy("bandit")
    assert by_name([one, other]) == {"greedy": one, "bandit": other}
    with pytest.raises(ValueError, match="two policies are named 'greedy'"):
        by_name([one, policy("greedy")])


def test_a_policy_that_does_not_exist_is_named():
    """The server ends at its start, instead of answering without what was asked for."""
    with pytest.raises(ValueError, match="no policy 'gredy'"):
        make_policy("gredy")
