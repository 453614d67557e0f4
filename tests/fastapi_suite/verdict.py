"""Compares two runs of FastAPI's test suite: `verdict.py WITHOUT WITH`, of each a .xml (JUnit) and a .counts."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

FEWEST_COMPILED: Final = 0.8
"""Of the suite's routes. Leaving all of them to FastAPI would prove nothing."""


def passed(run: str) -> Counter[str]:
    """Tests by name; a name that occurs twice counts twice."""
    cases = ElementTree.parse(f"{run}.xml").iter("testcase")  # noqa: S314  written by the pytest that just ran
    return Counter(f"{case.get('classname')}::{case.get('name')}" for case in cases if len(case) == 0)


def counts(run: str) -> tuple[Counter[str], Counter[str]]:
    counted: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for line in Path(f"{run}.counts").read_text().splitlines():
        part = json.loads(line)
        reasons.update(part.pop("reasons"))
        counted.update(part)
    return counted, reasons


def main(without: str, with_compiled: str) -> int:
    before, after = passed(without), passed(with_compiled)
    lost = before - after
    counted, reasons = counts(with_compiled)
    share = counted["compiled"] / max(1, counted["routes"])
    print(f"passed without: {before.total()}; with: {after.total()}; lost: {lost.total()}")
    print(f"routes: {counted['routes']}; compiled: {counted['compiled']} ({share:.1%})")
    print(f"requests to them: {counted['answered']} answered, {counted['left to FastAPI']} left to FastAPI's handler")
    print(f"requests to all: {counted['found']} found by the index, {counted['searched']} searched for by FastAPI")
    for reason, times in reasons.most_common():
        print(f"  not compiled, {times} ×: {reason}")
    for name in sorted(lost):
        print(f"  LOST {name}")
    return 0 if before and not lost and share >= FEWEST_COMPILED else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
