"""Whether a policy can be worked on at all: its spec parses, and no older policy has its target."""

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Policy
from paceline_operator.crd.stored import as_asked
from paceline_operator.crd.v1alpha1 import parse_policy, parse_target
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import Platform, PolicyResource, TargetRef


class NotReady(Exception):
    """The policy cannot be tuned; `reason` goes into its Ready condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def invalid(error: InvalidSpec) -> NotReady:
    """What a spec or a switch that cannot be understood means."""
    return NotReady(Reason.INVALID_SPEC, "; ".join(error.problems))


async def understand(platform: Platform, resource: PolicyResource) -> tuple[Policy, TargetRef]:
    """The policy, and what it points at.

    Raises:
        NotReady: the spec is invalid, its namespace cannot be read, or an older policy tunes the target.
        PlatformUnavailable: from the platform.
    """
    if resource.refused:
        raise NotReady(Reason.FORBIDDEN, resource.refused)
    try:
        policy = as_asked(parse_policy(resource.spec, resource.key.namespace), resource.annotations)
        target = parse_target(resource.spec)
    except InvalidSpec as error:
        raise invalid(error) from error
    assert target is not None  # parse_policy saw to it
    for other in await platform.rivals(resource.key, target):
        if _precedes(other, resource) and _same(parse_target(other.spec), target):
            message = f"policy {other.key} is older and tunes {target.kind} {target.name}: delete one of the two"
            raise NotReady(Reason.TARGET_CONFLICT, message)
    return policy, target


def _precedes(other: PolicyResource, resource: PolicyResource) -> bool:
    return not other.deleting and (other.created, other.uid) < (resource.created, resource.uid)


def _same(other: TargetRef | None, target: TargetRef) -> bool:
    return other is not None and other.identity == target.identity
