"""What `simulate` says of a mistake: one line, before any work."""

from pathlib import Path

import pytest
from paceline_operator.errors import UsageError
from paceline_operator.simulation.command import run_command


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("name: x\nfleet: {replica: 3}", {}, "fleet.replica: there is no such field"),
        ("name: [", {}, "is not YAML: while parsing"),
        ("name: x", {"controller": "best"}, "--controller best is unknown; there are paceline, hpa"),
        ("name: x", {"plot": "missing/out.svg"}, "there is no folder"),
        ("name: x", {"plot": "."}, "is a folder; name a file"),
        (None, {}, "No such file or directory"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, text: str | None, options: dict[str, str], message: str) -> None:
    scenario = tmp_path / "scenario.yaml"
    if text is not None:
        scenario.write_text(text)
    plot = tmp_path / options["plot"] if "plot" in options else None

    with pytest.raises(UsageError, match=message) as caught:
        run_command([scenario], seeds=1, controller=options.get("controller", "paceline"), as_json=True, plot=plot)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "missing").exists()
