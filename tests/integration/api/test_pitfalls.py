"""The two classic mistakes: each check sees its own, and none minds the cure."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2
import paceline_api.pitfalls
import pytest
from blockbuster import BlockingError
from paceline_api.settings import PitfallsSettings, Settings

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]
SOURCE = Path(paceline_api.pitfalls.__file__)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"pitfalls": PitfallsSettings(enabled=True)})


def line_of(text: str) -> int:
    """Where the source has this text, counted from 1."""
    return next(number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if text in line)


async def test_they_are_off_unless_asked_for(start: Start, settings: Settings) -> None:
    async with start(settings.model_copy(update={"pitfalls": PitfallsSettings()})) as client:
        for path in ("/pitfalls/blocking", "/pitfalls/forgotten-await"):
            response = await client.get(path)
            assert (response.status_code, response.json()["error"]) == (404, "NotFound")


async def test_blockbuster_stops_the_blocking_call_and_lets_the_cures_pass(client: httpx2.AsyncClient) -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        await client.get("/pitfalls/blocking?seconds=0")
    for cure in ("in-a-thread", "waiting"):
        assert (await client.get(f"/pitfalls/blocking/{cure}?seconds=0")).status_code == 204


def test_ruff_names_the_blocking_call() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--ignore-noqa", "--output-format", "json", str(SOURCE)]
    findings = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=False).stdout)
    found = [(finding["code"], finding["location"]["row"]) for finding in findings]
    assert found == [("ASYNC251", line_of("noqa: ASYNC251"))]


def test_mypy_names_the_forgotten_await(tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(SOURCE.read_text().replace("# type: ignore[unused-coroutine]", ""))
    options = ["--config-file", "/dev/null", "--cache-dir", str(tmp_path / "cache"), "--strict"]
    command = [sys.executable, "-m", "mypy", *options, str(bare)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert f"bare.py:{line_of('type: ignore')}: error:" in found
    assert "[unused-coroutine]" in found
    assert "Found 1 error" in found


async def test_a_forgotten_await_saves_nothing_and_warns(client: httpx2.AsyncClient) -> None:
    with pytest.warns(RuntimeWarning, match="coroutine 'save' was never awaited"):
        response = await client.get("/pitfalls/forgotten-await")
    assert response.json() == {"saved": False}
    assert (await client.get("/pitfalls/forgotten-await/awaited")).json() == {"saved": True}


def test_warnings_as_errors_fail_the_test_that_forgot(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("""
        import asyncio
        from paceline_api import pitfalls

        def test_forgets():
            asyncio.run(pitfalls.forgotten_await("note"))

        def test_awaits():
            asyncio.run(pitfalls.awaited("note"))
    """)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines("*coroutine 'save' was never awaited*")
