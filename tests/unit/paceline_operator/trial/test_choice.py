"""Which value `helm test` tries, and when pods have it."""

from typing import Any

import pytest
from paceline_operator.trial.choice import Trial, TrialFailed, behind, noted, read_note, trial_for


def state(workers: int = 2, pending: tuple[str, ...] = (), **pools: int) -> dict[str, Any]:
    return {"values": {"workers": workers, "pools": pools}, "tuning": {"pending": list(pending)}}


@pytest.mark.parametrize(
    ("one", "trial"),
    [
        (state(postgres=5, redis=10), Trial("redis", 10, 9)),
        (state(postgres=1), Trial(None, 2, 3)),
        (state(), Trial(None, 2, 3)),
    ],
)
def test_a_connection_less_of_the_largest_pool_else_a_worker_more(one: dict[str, Any], trial: Trial) -> None:
    assert trial_for({"a": one, "b": one}) == trial


def test_pods_that_differ_and_no_pods_at_all_are_not_tried() -> None:
    with pytest.raises(TrialFailed, match="the pods run different values, as during a rollout: a, b"):
        trial_for({"a": state(2), "b": state(3)})
    with pytest.raises(TrialFailed, match="there is no pod"):
        trial_for({})
    with pytest.raises(TrialFailed, match="no response from b on the port named paceline"):
        trial_for({"a": state(2), "b": None})


def test_who_has_not_got_it_yet() -> None:
    states = {"a": state(postgres=4), "b": state(postgres=4, pending=("postgres",)), "c": state(postgres=5)}
    assert behind(states, Trial("postgres", 5, 4), 4) == ["b", "c"]
    assert behind({"a": state(3)}, Trial(None, 2, 3), 3) == []
    assert behind({"a": state(3), "b": None}, Trial(None, 2, 3), 3) == ["b"], "a silent pod has not got it"
    assert behind({}, Trial(None, 2, 3), 3) == ["the Deployment, which has no pod"]


def test_an_interrupted_trial_can_be_taken_back_by_its_note() -> None:
    trial, had_document = read_note(noted(Trial("postgres", 5, 4), had_document=False))
    assert (trial.pool, trial.before, had_document) == ("postgres", 5, False)
    with pytest.raises(TrialFailed, match="cannot be read"):
        read_note("")


def test_what_a_policy_says_of_it() -> None:
    assert Trial("postgres", 5, 4).spec(4) == {"pools": [{"name": "postgres", "value": 4}]}
    assert Trial(None, 2, 3).spec(3) == {"workers": {"value": 3}}
