"""paceline.toml, pyproject.toml and gunicorn.conf.py as sources."""

from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.startline.resolve import Start, resolve
from paceline.startline.table import BY_NAME


def start(folder: Path, *words: str) -> Start:
    return resolve(["shop:app", *words], {}, folder)


def test_tables_are_the_beginning_of_a_name_and_lists_are_joined(tmp_path: Path) -> None:
    (tmp_path / "paceline.toml").write_text(
        "bind = [':8000', 'unix:/run/shop.sock']\npreload = false\n[trace]\nratio = 0.5\n[ws]\nmax-bytes = 10"
    )
    assert start(tmp_path).settings == {
        "PACELINE_BIND": ":8000,unix:/run/shop.sock",
        "PACELINE_PRELOAD": "false",
        "PACELINE_TRACE_RATIO": "0.5",
        "PACELINE_WS_MAX_BYTES": "10",
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("wrokers = 1", r"paceline.toml has no setting 'wrokers'; did you mean workers\?"),
        ("[trace]\nrato = 1", r"paceline.toml has no setting 'trace_rato'; did you mean trace_ratio\?"),
        ("workers = ", "cannot read paceline.toml"),
        ("\udcff", "cannot read paceline.toml"),
    ],
)
def test_a_file_of_ours_that_is_wrong_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "paceline.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=says):
        start(tmp_path)


def test_a_project_without_our_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nworkers = 3")
    assert start(tmp_path).settings == {}
    (tmp_path / "pyproject.toml").write_text("[tool.paceline]\nworkers = 3")
    assert start(tmp_path).settings == {"PACELINE_WORKERS": "3"}
    (tmp_path / "pyproject.toml").write_text("[tool.paceline")
    assert start(tmp_path).settings == {}


def test_our_own_file_stands_for_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.paceline]\nworkers = 3\nbacklog = 1")
    (tmp_path / "paceline.toml").write_text("workers = 4")
    assert start(tmp_path).settings == {"PACELINE_WORKERS": "4"}
    (tmp_path / "other.toml").write_text("workers = 5")
    assert start(tmp_path, "-c", "other.toml").settings == {"PACELINE_WORKERS": "5"}


def test_lists_are_joined_as_their_variable_separates(tmp_path: Path) -> None:
    (tmp_path / "paceline.toml").write_text(
        "response_headers = ['X-A: 1, 2', 'X-B: 3']\napp_dir = ['src', 'lib']\ntrusted_proxies = ['10.0.0.1', '::1']"
    )
    assert start(tmp_path).settings == {
        "PACELINE_RESPONSE_HEADERS": "X-A: 1, 2\nX-B: 3",
        "PACELINE_APP_DIR": "src:lib",
        "PACELINE_TRUSTED_PROXIES": "10.0.0.1,::1",
    }


CONF = """
import multiprocessing
import helper_of_conf
bind = ["127.0.0.1:8000", f"unix:{helper_of_conf.path}"]
workers = 1 + multiprocessing.cpu_count() * 0 + 2
worker_class = "uvicorn.workers.UvicornWorker"
umask = 0o007
loglevel = "warning"
accesslog = "-"
errorlog = "-"
forwarded_allow_ips = ["10.0.0.0/8", "::1"]
raw_env = ["DEBUG=1"]
chdir = "/srv"
daemon = False
keyfile = None
threads = 4
statsd_prefix = ""
def post_fork(server, worker): ...
def _private(): ...
my_own = 3
"""


def test_a_configuration_of_gunicorn_is_read(tmp_path: Path) -> None:
    (tmp_path / "helper_of_conf.py").write_text("path = '/run/shop.sock'")
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    found = start(tmp_path)
    assert found.settings == {
        "PACELINE_BIND": "127.0.0.1:8000,unix:/run/shop.sock",
        "PACELINE_WORKERS": "3",
        "PACELINE_UMASK": "7",
        "PACELINE_LOG_LEVEL": "warning",
        "PACELINE_ACCESS_LOG": "auto",
        "PACELINE_TRUSTED_PROXIES": "10.0.0.0/8,::1",
    }
    assert found.environment == {"DEBUG": "1"}
    assert found.folder == "/srv"
    assert [note.partition(" is ")[0] for note in found.notes] == ["threads in gunicorn.conf.py"]
    assert found.warnings == (
        "post_fork in gunicorn.conf.py has no effect: do it in the lifespan, which every worker runs",
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("keyfile = 'k.pem'", "keyfile in gunicorn.conf.py is not offered: end TLS in front"),
        ("class Mine: ...\nworker_class = Mine", "worker_class in gunicorn.conf.py .*Mine is not offered"),
        ("def ssl_context(conf, make): ...", "ssl_context in gunicorn.conf.py is not offered"),
        ("workers = 1\nraise ValueError('DSN is\\nnot set')",
         r"gunicorn.conf.py does not run: ValueError: DSN is not set \(gunicorn.conf.py, line 2\)"),
        ("def (", r"gunicorn.conf.py does not run: SyntaxError"),
        ("import sys; sys.exit('no')", r"gunicorn.conf.py does not run: SystemExit: no"),
        ("workers = 0", "workers in gunicorn.conf.py is wrong"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_followed_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(content)
    with pytest.raises(UsageError, match=says):
        start(tmp_path)


def test_another_configuration_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2")
    (tmp_path / "conf_of_another_name.py").write_text("workers = 3")
    assert start(tmp_path, "-c", "conf_of_another_name.py").settings == {"PACELINE_WORKERS": "3"}
    assert start(tmp_path, "-c", "file:conf_of_another_name.py").settings == {"PACELINE_WORKERS": "3"}
    assert start(tmp_path, "--config=python:conf_of_another_name").settings == {"PACELINE_WORKERS": "3"}


def test_none_says_nothing(tmp_path: Path) -> None:
    known = [name.partition(".")[2] for name in BY_NAME if name.startswith("gunicorn.")]
    (tmp_path / "gunicorn.conf.py").write_text("".join(f"{name} = None\n" for name in known))
    found = start(tmp_path)
    assert (found.settings, found.environment, found.folder) == ({}, {}, None)
    assert (found.notes, found.warnings) == ((), ())


BOILERPLATE = """
bind = '127.0.0.1:8000'
backlog = 2048
workers = 1
worker_class = 'uvicorn.workers.UvicornWorker'
worker_connections = 1000
timeout = 30
keepalive = 2
spew = False
reload = False
daemon = False
raw_env = []
pidfile = None
umask = 0
user = None
group = None
tmp_upload_dir = None
errorlog = '-'
loglevel = 'info'
accesslog = None
access_log_format = None
proc_name = None
preload_app = False
chdir = ''
forwarded_allow_ips = None
syslog = False
syslog_addr = 'udp://localhost:514'
logger_class = 'gunicorn.glogging.Logger'
logconfig = None
statsd_host = None
keyfile = None
certfile = None
ca_certs = None
ciphers = None
paste = None
def on_exit(server): ...
post_fork = None
"""


def test_a_configuration_as_people_copy_it_is_followed(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(BOILERPLATE)
    found = start(tmp_path)
    assert found.settings == {
        "PACELINE_BIND": "127.0.0.1:8000",
        "PACELINE_BACKLOG": "2048",
        "PACELINE_WORKERS": "1",
        "PACELINE_WORKER_TIMEOUT_SECONDS": "30",
        "PACELINE_KEEPALIVE_SECONDS": "2",
        "PACELINE_UMASK": "0",
        "PACELINE_LOG_LEVEL": "info",
        "PACELINE_PRELOAD": "false",
    }
    assert found.folder is None
    assert found.warnings == ("on_exit in gunicorn.conf.py has no effect: do it in the application's lifespan",)


def test_all_defaults_of_gunicorn_are_followed(tmp_path: Path) -> None:
    """`user` and `group` aside, which are whoever runs it, and the class of workers, which serve no ASGI."""
    from gunicorn.config import KNOWN_SETTINGS

    defaults = {each.name: each.default for each in KNOWN_SETTINGS}
    del defaults["user"], defaults["group"], defaults["worker_class"]
    plain = {name: value for name, value in defaults.items() if type(value) in (str, int, bool, list, dict)}
    assert len(plain) > 60
    (tmp_path / "gunicorn.conf.py").write_text("".join(f"{name} = {value!r}\n" for name, value in plain.items()))
    (warning,) = start(tmp_path).warnings
    assert warning.startswith("access_log_format in gunicorn.conf.py has no effect")


def test_text_with_commas_is_several_values(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = 'A=1, B=2'\nbind = ':8000,:8001'")
    found = start(tmp_path)
    assert found.environment == {"A": "1", "B": "2"}
    assert found.settings == {"PACELINE_BIND": ":8000,:8001"}
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = ''")
    assert start(tmp_path).environment == {}


@pytest.mark.invariant
@pytest.mark.parametrize("name", ["FORWARDED_ALLOW_IPS", "PACELINE_TRUSTED_PROXIES", "paceline_workers", "LISTEN_FDS"])
def test_variables_of_ours_in_raw_env_are_left_out_with_a_warning(tmp_path: Path, name: str) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"raw_env = ['{name}=*', 'DEBUG=1']")
    found = start(tmp_path)
    assert found.environment == {"DEBUG": "1"}
    assert found.settings == {}
    assert found.warnings == (
        f"raw_env in gunicorn.conf.py does not set {name}, which Paceline reads before: set it in the environment",
    )
    found = resolve(["shop:app"], {"GUNICORN_CMD_ARGS": f"-e {name}=*"}, tmp_path / "nowhere")
    assert (found.environment, found.settings, len(found.warnings)) == ({}, {}, 1)
