"""The contract as a whole: every clause in its order, what a pod lacks, and the manifest that lacks nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paceline_operator.contract.clause import Clause, Finding
from paceline_operator.contract.folders import run_folder, tuning
from paceline_operator.contract.life import ending, identity, probes
from paceline_operator.contract.serving import address, command, management, port
from paceline_operator.contract.subject import Subject

CLAUSES: Final[tuple[Clause, ...]] = (
    command, port, management, address, tuning, run_folder, identity, probes, ending
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inspected:
    """A workload held against the contract."""

    subject: Subject
    findings: tuple[Finding, ...]
    mended: Mapping[str, Any]
    """Its manifest with all that the patch can give it."""

    @property
    def needed(self) -> tuple[Finding, ...]:
        """What it is not tuned without, or may lose requests without."""
        return tuple(finding for finding in self.findings if finding.needed)


def inspected(subject: Subject) -> Inspected:
    """What a workload lacks; nothing of one that was mended by hand or by the patch."""
    mended = subject
    findings: list[Finding] = []
    for clause in CLAUSES:
        found, mended = clause(mended)
        findings += found
    return Inspected(subject, tuple(findings), mended.manifest)
