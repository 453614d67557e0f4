import orjson
import pytest
from paceline.document.adoption import DesiredState, Refusal, consider, desired_of
from paceline.document.model import TuningDocument, Values, digest, parse_document


def document(generation: int, workers: int = 2, **more: object) -> bytes:
    wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": {"workers": workers}, **more}
    return orjson.dumps(wire)


FOLLOWED = DesiredState(7, Values(2), digest=digest(document(7)))


def test_a_newer_generation_is_followed() -> None:
    newer = consider(document(8), FOLLOWED)
    assert isinstance(newer, TuningDocument)
    assert newer.generation == 8


def test_the_same_document_again_is_nothing_new() -> None:
    assert consider(document(7), FOLLOWED) is None


@pytest.mark.parametrize(
    ("content", "generation", "reason", "says"),
    [
        pytest.param(b"{", None, "InvalidDocument", "what runs stays", id="cut off in the middle"),
        pytest.param(b"", None, "InvalidDocument", "what runs stays", id="empty"),
        pytest.param(document(8, workers=0), None, "InvalidDocument", "values.workers", id="no workers at all"),
        pytest.param(document(0), None, "InvalidDocument", "generation", id="generation zero"),
        pytest.param(document(6), 6, "OlderGeneration", "as generation 8", id="older generation"),
        pytest.param(document(7, workers=3), 7, "ConflictingContent", "as generation 8", id="same one, other content"),
    ],
)
def test_other_documents_are_refused(content: bytes, generation: int | None, reason: str, says: str) -> None:
    refusal = consider(content, FOLLOWED)
    assert isinstance(refusal, Refusal)
    assert (refusal.generation, refusal.reason) == (generation, reason)
    assert says in refusal.message


def test_an_override_addresses_one_pod_by_uid() -> None:
    parsed = parse_document(document(9, overrides={"canary": {"workers": 5}}, traceparent="00-a-b-01"))
    assert desired_of(parsed, "canary").values.workers == 5
    other = desired_of(parsed, "other")
    assert other == DesiredState(9, Values(2), digest=parsed.digest, traceparent="00-a-b-01")
