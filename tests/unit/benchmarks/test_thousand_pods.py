"""The fleet benchmark measures a pass over answers that a pod could give."""

import json
import random
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.benchmarks.blocked import longest_block_seconds
from tests.benchmarks.thousand_pods import Bodies, History, pass_seconds

SCHEMA = Path(__file__).parents[3] / "docs/schemas/state.v1.schema.json"


def test_its_responses_are_those_of_a_pod() -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(History(random.Random(1)).state(1000.0))


def test_a_pass_ends_in_a_decision_on_all_pods() -> None:
    assert pass_seconds(Bodies.of(5)) > 0


async def test_the_longest_block_is_that_of_a_pass_that_decides() -> None:
    assert await longest_block_seconds(Bodies.of(5)) > 0
