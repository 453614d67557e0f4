"""The logging configuration of an application wins, each record comes once, and ours are in none of its files."""

import json
from pathlib import Path

import pytest
from serving import Served, eventually, pod

PRELOAD = pytest.mark.parametrize("options", [(), ("--no-preload",)], ids=["preload", "no preload"])


def said(served: Served, text: str) -> list[str]:
    return [line for line in served.stderr.splitlines() if text in line]


@PRELOAD
@pytest.mark.parametrize(
    ("application", "info", "warning"),
    [
        pytest.param("without", 1, 1, id="no configuration"),
        pytest.param("dict_config", 0, 1, id="dictConfig"),
        pytest.param("basic_config", 1, 1, id="basicConfig"),
        pytest.param("litestar", 1, 1, id="Litestar"),
    ],
)
def test_each_record_comes_once_at_the_level_that_the_application_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, application: str, info: int, warning: int, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LOGGING_APP", application)
    with pod(tmp_path, "logging_apps:app", *options) as served:
        assert served.get("/say")[0] == 200
        eventually(lambda: said(served, "serving logging_apps:app"), "the arbiter says that it serves")
        served.stop()
        assert len(said(served, "said info")) == info
        assert len(said(served, "said warning")) == warning
        if application.endswith("config"):
            assert all(line.startswith("theirs ") for line in said(served, "said "))
        ours = said(served, "serving logging_apps:app")
        assert len(ours) == 1
        assert json.loads(ours[0])["logger"] == "paceline.serve"


@PRELOAD
def test_ours_are_in_no_file_of_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    file = tmp_path / "shop.log"
    monkeypatch.setenv("LOGGING_APP", "file_in_lifespan")
    monkeypatch.setenv("LOG_FILE", str(file))
    with pod(tmp_path, "logging_apps:app", *options) as served:
        served.get("/say")
        served.get("/fail")
        eventually(lambda: said(served, "nothing here"), "the failure is in our log")
        served.stop()
        assert file.read_text().splitlines() == ["theirs INFO shop said info", "theirs WARNING shop said warning"]
        assert not said(served, "said info")


def test_a_record_that_cannot_be_written_as_it_is_is_one_line_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGGING_APP", "without")
    with pod(tmp_path, "logging_apps:app", "--log-format", "json", "--log-level", "WARNING") as served:
        served.get("/surrogate")
        served.get("/say")
        served.stop()
        assert "Logging error" not in served.stderr
        [line] = [json.loads(line) for line in said(served, "ud800")]
        assert (line["message"], line["logger"]) == ("\\ud800", "shop")
        assert not said(served, "said info"), "the level is an option"
        assert said(served, "said warning")
        assert not said(served, "serving logging_apps")
