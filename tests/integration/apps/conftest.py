"""Applications of others, each under plain gunicorn with uvicorn-worker and under `paceline serve`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from serving import Served, eventually, serve_command, serving

APPLICATIONS = Path(__file__).parent / "applications"
WORKERS = 2
START_SECONDS = 120.0
"""Four processes import an application and its drivers: half a minute on a machine with ten times as much to do."""
Run = Callable[[str, str], AbstractContextManager[Served]]


class _Rates(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"currency": self.path.strip("/"), "rate": 1.25}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="session")
def rates_url() -> Iterator[str]:
    """The service that the shop asks for exchange rates."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Rates) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def shop_environment(postgres_dsn: str, valkey_url: str, rates_url: str) -> dict[str, str]:
    environment = {"DATABASE_URL": postgres_dsn, "REDIS_URL": valkey_url, "RATES_URL": rates_url}
    migrate = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(migrate, cwd=APPLICATIONS, env={**os.environ, **environment}, check=True, timeout=60)
    return environment


@pytest.fixture
def run(tmp_path: Path, shop_environment: dict[str, str]) -> Run:
    """Runs `MODULE:APP` under one of the two servers, with two workers, until the end of the block."""

    @contextmanager
    def start(server: str, target: str) -> Iterator[Served]:
        environment = {**shop_environment, "PACELINE_WORKERS": str(WORKERS)}
        with serving(_command(server, target, tmp_path), tmp_path, environment, APPLICATIONS) as served:
            eventually(lambda: served.ended() or _answers(served), f"{target} answers", START_SECONDS)
            assert not served.ended(), served.stderr
            yield served

    return start


def _command(server: str, target: str, folder: Path) -> list[str]:
    if server == "paceline serve":
        return serve_command(target)
    settings = folder / "gunicorn.py"  # the address is known when the process starts, from its environment
    settings.write_text(
        "import os\n"
        "bind = os.environ['PACELINE_BIND']\n"
        "workers = int(os.environ['PACELINE_WORKERS'])\n"
        "worker_class = 'uvicorn_worker.UvicornWorker'\n"
        "control_socket_disable = True\n"
    )
    return [sys.executable, "-m", "gunicorn", "-c", str(settings), target]


def _answers(served: Served) -> bool:
    try:
        return served.get("/")[0] < 500
    except OSError:
        return False
