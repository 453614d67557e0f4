"""`python -m paceline_api.jobs`: settings with which it does not start."""

import pytest
from paceline_api.errors import ConfigurationError
from paceline_api.jobs.worker import work
from paceline_api.settings import load_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1/shop")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    monkeypatch.setenv("API_MAIL_SMTP_URL", "smtp://127.0.0.1")
    return monkeypatch


@pytest.mark.parametrize(("stop", "stalled"), [("10", "15"), ("0.4", "0.5"), ("30", "30")])
async def test_a_process_that_would_be_taken_for_dead_while_it_stops(
    environment: pytest.MonkeyPatch, stop: str, stalled: str
) -> None:
    environment.setenv("API_JOBS_STOP_SECONDS", stop)
    environment.setenv("API_MAIL_STALLED_SECONDS", stalled)
    wrong = rf"^environment variable API_MAIL_STALLED_SECONDS is wrong.*gives {stop} s.*above {float(stop) * 1.5:g}$"
    with pytest.raises(ConfigurationError, match=wrong):
        await work(load_settings())
