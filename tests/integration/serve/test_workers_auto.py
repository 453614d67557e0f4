"""`paceline serve --workers auto`: real processes, as many as the start line says."""

import re
import signal
from pathlib import Path

from serving import eventually, serve_command, serving


def test_the_start_line_says_how_many_and_why_and_so_many_serve(tmp_path: Path) -> None:
    with serving(serve_command("plain:app", "--workers", "auto"), tmp_path, {"PACELINE_MAX_WORKERS": "2"}) as served:
        eventually(lambda: served.management("/readyz") == 200, "the pod is ready")
        told = re.search(r"--workers auto: (\d+) \((.*cores.*)\); every pool is opened once in each", served.stderr)
        assert told is not None, served.stderr
        wanted = int(told[1])
        assert 1 <= wanted <= 2
        eventually(lambda: len(served.state()["workers"]) == wanted, "all of them serve")
        assert served.stop(signal.SIGTERM) == 0
