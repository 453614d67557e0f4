"""Our settings in gunicorn's words."""

from pathlib import Path

from paceline.serve.arbiter.gunicorn_app import gunicorn_settings
from paceline.settings import ServeSettings


def test_times_are_rounded_up_and_never_off() -> None:
    # gunicorn takes whole seconds, and takes 0 for "never".
    settings = ServeSettings(keepalive_seconds=0.2, graceful_timeout_seconds=0.3, worker_timeout_seconds=0.4)
    wire = gunicorn_settings(settings, Path("/run/paceline"))
    assert (wire["keepalive"], wire["timeout"]) == (1, 1)
    assert isinstance(wire["graceful_timeout"], int)
    assert wire["graceful_timeout"] >= 8


def test_nothing_moves_the_worker_count_but_the_file() -> None:
    wire = gunicorn_settings(ServeSettings(workers=3), Path("/run/paceline"))
    assert wire["control_socket_disable"] is True
    assert wire["workers"] == 3
    assert wire["worker_tmp_dir"] in {"/dev/shm", "/run/paceline"}
