"""Which tuning document a pod follows: a newer, valid one. Pure; whatever is refused, what runs stays."""

from dataclasses import dataclass
from typing import Any, Literal

from paceline.document.model import LARGEST_GENERATION, TuningDocument, Values, parse_document
from paceline.errors import InvalidDocument


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that this pod does not follow. `generation` is None where it could not be read."""

    generation: int | None
    reason: Literal["InvalidDocument", "OlderGeneration", "ConflictingContent", "ShrinkBlocked"]
    message: str

    def to_json(self) -> dict[str, Any]:
        return {"generation": self.generation, "reason": self.reason, "message": self.message}


@dataclass(frozen=True, slots=True)
class DesiredState:
    """One generation as it addresses this pod, uncut. Generation 0: start values, before any document."""

    generation: int
    values: Values
    digest: str | None = None
    traceparent: str | None = None
    policy: str = ""
    """Who wrote it, `namespace/name`."""
    routes: tuple[str, ...] = ()
    """Route groups that `/state` shows by name."""
    after_unclean_exit: bool = False
    """The pod crashed before it read this generation: it may have been the cause."""


def consider(content: bytes, followed: DesiredState) -> TuningDocument | Refusal | None:
    """Compares a document just read with the newest one ever followed: returns it, or why not, or None: the same."""
    try:
        document = parse_document(content)
    except InvalidDocument as error:
        return invalid(error)
    if document.generation < followed.generation:
        return Refusal(
            document.generation,
            "OlderGeneration",
            f"generation {document.generation} is older than {followed.generation}, which this pod has followed; "
            f"{_way_out('the values again', followed.generation)}",
        )
    if document.generation > followed.generation:
        return document
    if document.digest == followed.digest:
        return None
    return Refusal(
        document.generation,
        "ConflictingContent",
        f"generation {document.generation} was read before with other content; "
        f"{_way_out('the change', document.generation)}",
    )


def invalid(error: InvalidDocument) -> Refusal:
    """The refusal of what cannot be read as a document."""
    return Refusal(None, "InvalidDocument", f"{error}; what runs stays until a valid document is written")


def _way_out(what: str, newest: int) -> str:
    if newest >= LARGEST_GENERATION:
        return "no later generation exists; write a smaller one and restart the pods"
    return f"write {what} as generation {newest + 1} or later"


def desired_of(document: TuningDocument, pod_uid: str, *, after_unclean_exit: bool = False) -> DesiredState:
    """The part of a document that addresses the pod with this uid."""
    return DesiredState(
        generation=document.generation,
        values=document.values_for(pod_uid),
        digest=document.digest,
        traceparent=document.traceparent,
        policy=document.policy,
        routes=document.routes,
        after_unclean_exit=after_unclean_exit,
    )
