"""What a clause of the contract says of a pod: what is missing, and the pod with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paceline_operator.contract.subject import Subject


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a pod lacks."""

    clause: str
    """One word: the heading in docs/pod-contract.md."""
    needed: bool
    """Whether the pod is not tuned, or may lose requests, without it; else it is only better."""
    message: str
    by_hand: bool = False
    """Nothing but a person can mend it: the patch does not."""


Clause = Callable[[Subject], tuple[Sequence[Finding], Subject]]
"""A pod → what it lacks, and the pod that lacks it no more."""
