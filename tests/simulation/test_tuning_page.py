"""The examples of docs/tuning.md, run word for word."""

import os
import sys
from pathlib import Path

import pytest
from documented import DOCS, Page


def test_what_if_answers_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent)
    page = Page("tuning.md")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    said = page.run("What if", PATH=path, TMPDIR=tmp_path)

    assert said.count("← now") == said.count("← chosen") == 2, said
    assert "1 ← chosen" in said.rpartition("postgres 2→")[2], "the second time there may be one worker only"


def test_every_picture_of_the_page_is_there_and_small() -> None:
    text = (DOCS / "tuning.md").read_text()
    pictures = sorted(set((DOCS / "plots").glob("*.svg")) - {DOCS / "plots" / "demo.svg"})  # the README's
    assert pictures
    for picture in pictures:
        assert f"plots/{picture.name}" in text
        assert "simulate tests/simulation/scenarios/$name.yaml --plot docs/plots/$name.svg" in text
        assert picture.stat().st_size < 30_000
