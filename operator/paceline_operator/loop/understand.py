"""Whether a policy can be worked on at all: its spec parses, and no older policy has its target."""

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Policy
from paceline_operator.crd.stored import as_asked
from paceline_operator.crd.switches import Switches, read_switches
from paceline_operator.crd.v1alpha1 import parse_policy, parse_target
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import Platform, PolicyResource, TargetRef


class NotReady(Exception):
    """The policy cannot be tuned; `reason` goes into its Ready condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def understand(platform: Platform, resource: PolicyResource) -> tuple[Policy, TargetRef, Switches]:
    """The policy, what it points at, and what a person has switched.

    Raises:
        NotReady: the spec or a switch is invalid, its namespace cannot be read, or an older policy tunes the target.
        PlatformUnavailable: from the platform.
    """
    if resource.refused:
        raise NotReady(Reason.FORBIDDEN, resource.refused)
    try:
        policy = as_asked(parse_policy(resource.spec, resource.key.namespace), resource.annotations)
        target = parse_target(resource.spec)
        switches = read_switches(resource.annotations, resource.namespace_annotations, resource.status)
    except InvalidSpec as error:
        raise NotReady(Reason.INVALID_SPEC, "; ".join(error.problems)) from error
    assert target is not None  # parse_policy saw to it
    for other in await platform.rivals(resource.key, target):
        if _precedes(other, resource) and _same(parse_target(other.spec), target):
            message = f"policy {other.key} is older and tunes {target.kind} {target.name}: delete one of the two"
            raise NotReady(Reason.TARGET_CONFLICT, message)
    return policy, target, switches


def _precedes(other: PolicyResource, resource: PolicyResource) -> bool:
    return not other.deleting and (other.created, other.uid) < (resource.created, resource.uid)


def _same(other: TargetRef | None, target: TargetRef) -> bool:
    return other is not None and other.identity == target.identity
