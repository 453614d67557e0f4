"""What is sampled of the spans that have no parent. Requests are drawn before, in `tracing.py`."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

GENERATION: Final = "paceline.generation"
"""The attribute that every span carries which is made by a process that runs documents."""
_OWN_ROOT: Final = create_key("paceline-own-root")


def own_root() -> Context:
    """To start a trace in, where no document runs: nobody's child, and sampled."""
    return set_value(_OWN_ROOT, True, Context())


class OwnRootsSampler(Sampler):
    """Spans without a parent are in if Paceline made them, since those were drawn before; others are out.

    A request that was not drawn has no context, so otherwise each of its database calls would start a trace.
    """

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Looks at the attributes, and for `own_root`."""
        ours = attributes is not None and GENERATION in attributes
        ours = ours or (parent_context is not None and get_value(_OWN_ROOT, parent_context) is True)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if ours else Decision.DROP, attributes, trace_state)

    def get_description(self) -> str:
        """The name the SDK shows."""
        return "PacelineOwnRootsSampler"


def follow_requests() -> Sampler:
    """Children follow their request; roots are ours or nobody's."""
    return ParentBased(root=OwnRootsSampler())
