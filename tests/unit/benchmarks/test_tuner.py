"""What `bench-tuner` makes of the results that it has written: nothing is played."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import tuner


def told(scenario: str, controller: str = "paceline", seed: int = 1, **figures: Any) -> dict[str, Any]:
    calm = {"regret": 1.0, "regretCumulative": 1.0, "t10": 0, "objectiveViolations": 0, "reversalsPer100": 0}
    rest: dict[str, Any] = {"changesLast20": 0, "growthsWhileMet": 0, "unsafeTrials": 0, "decisions": []}
    rest["spent"] = {"workers": 2.0, "connections": 8.0, "memoryBytes": 240 << 20}
    return {"scenario": scenario, "controller": controller, "seed": seed, **calm, **rest, **figures}


RUNS = (
    told("cpu-constant", regret=1.02, regretCumulative=2.0, t10=2),
    told("cpu-constant", seed=2, regret=1.04, regretCumulative=4.0, t10=3, objectiveViolations=1, growthsWhileMet=1),
    told("cpu-constant", "cores", regretCumulative=6.0, unsafeTrials=40),
    told("cpu-constant from the best", decisions=[{"changes": [1], "reason": "Probe"}]),
)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(result) + "\n" for result in RUNS))

    def printed(option: str) -> str:
        monkeypatch.setattr("sys.argv", ["tuner", "--read", str(file), option])
        assert tuner.main() == 0
        return capsys.readouterr().out

    return printed


def test_the_page_has_the_worst_seed_and_each_simpler_way(read: Any) -> None:
    lines = read("--markdown").splitlines()

    assert "| cpu-constant | 1.04 | 3.00 | 3 | 0.5 | 0 | 0 | 1 | 0 |" in lines
    assert "| `cpu-constant` | 3 | 6 |" in lines
    assert "| geometric mean | 3 | 6 |" in lines
    assert "| unsafe intervals | 0 | 40 |" in lines
    assert "| regret, max, without noise and faults | 1.04 |  | ≤ 1.1: met |" in lines
    assert "| growths after an interval in which the objective was truly met with room | 1 |  | ≤ 0: missed |" in lines
    assert "| cores | 100.0% | 2.00 | 8.0 | 240 MiB |" in lines
    assert "| from the best: probes in 100 intervals | 1 |  | ≤ 4: met |" in lines


def test_rows_are_of_the_form_that_all_benchmarks_share(read: Any) -> None:
    rows = [json.loads(line) for line in read("--json").splitlines()]

    keys = {"bench", "peer", "metric", "ours", "theirs", "ratio", "goal", "met"}
    assert all(set(row) == keys for row in rows)
    assert [row["ratio"] for row in rows if row["peer"] == "cores"] == [0.5, 0.5]
