"""Whose a pod is: the chain of controllers above it, Pod → ReplicaSet → Deployment or Rollout, Pod → StatefulSet.

Labels do not say it: a Job's pods, or another Deployment's, may carry the same ones.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paceline_operator.cluster.refusals import Missing
from paceline_operator.ports import PlatformRefused, TargetRef

LONGEST_CHAIN: Final = 4
MOST_REMEMBERED: Final = 4096
_WORKLOADS: Final = "apps"
"""Controllers of this group are always climbed; others only where the target is of another group itself."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One controller, as its dependant names it."""

    api_version: str
    kind: str
    name: str
    uid: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]


Read = Callable[[str, Owner], Awaitable[Mapping[str, Any]]]
"""Reads a controller in a namespace. May raise `Missing`."""


class Owners:
    """Sorts pods. Remembers which controllers led to which target, so that a calm pass reads none of them."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: set[tuple[str, str]] = set()

    async def sorted(
        self, items: Sequence[Mapping[str, Any]], namespace: str, target: TargetRef, uid: str
    ) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
        """The target's pods; and by name whose the others are."""
        verdicts: dict[str, str | None] = {}
        own, strangers = [], {}
        for item in items:
            owner = controller(item)
            first = owner.uid if owner else ""
            if first not in verdicts:
                verdicts[first] = await self._stranger(owner, namespace, target, uid)
            if (whose := verdicts[first]) is None:
                own.append(item)
            else:
                strangers[item["metadata"]["name"]] = whose
        return own, strangers

    async def _stranger(self, owner: Owner | None, namespace: str, target: TargetRef, uid: str) -> str | None:
        """Whose it is instead of the target's; None where it is the target's."""
        if owner is None:
            return "it has no controller"
        climbed: list[str] = []
        last = owner
        while owner is not None:
            if owner.uid == uid or (owner.uid, uid) in self._known:
                self._remember(climbed, uid)
                return None
            if not _climbable(owner, target) or len(climbed) == LONGEST_CHAIN:
                return f"it belongs to {owner.kind} {owner.name}"
            climbed.append(owner.uid)
            last = owner
            above = await self._above(namespace, owner)
            if isinstance(above, str):
                return above
            owner = above
        return f"it belongs to {last.kind} {last.name}"

    async def _above(self, namespace: str, owner: Owner) -> Owner | str | None:
        """The controller's own controller, None at the top; or, in words, why it cannot be told."""
        named = f"{owner.kind} {owner.name}"
        try:
            found = await self._read(namespace, owner)
        except Missing:
            return f"it belongs to {named}, which is gone"
        except PlatformRefused:
            if owner.group == _WORKLOADS:
                raise  # without this right nobody's pods can be told
            return f"it belongs to {named}, which this operator may not read"
        if found["metadata"].get("uid") != owner.uid:
            return f"it belongs to an earlier {named}, which is gone"
        return controller(found)

    def _remember(self, climbed: Sequence[str], uid: str) -> None:
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        self._known.update((each, uid) for each in climbed)


def controller(item: Mapping[str, Any]) -> Owner | None:
    """The one controller of an object."""
    for reference in item["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return Owner(*(str(reference[field]) for field in ("apiVersion", "kind", "name", "uid")))
    return None


def _climbable(owner: Owner, target: TargetRef) -> bool:
    return owner.group == _WORKLOADS or target.api_version.rpartition("/")[0] != _WORKLOADS
