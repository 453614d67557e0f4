"""Command line, environment and files, and the settings that come of them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.startline.resolve import Start, resolve
from paceline.startline.table import BY_FLAG, ROWS

Resolve = Callable[..., Start]


@pytest.fixture
def start(tmp_path: Path) -> Resolve:
    def resolved(line: str, environment: Mapping[str, str] | None = None) -> Start:
        return resolve(line.split(), environment or {}, tmp_path)

    return resolved


LINES = [
    # gunicorn
    ("-k uvicorn.workers.UvicornWorker -w 4 -b 0.0.0.0:8000 shop:app", {"WORKERS": "4", "BIND": "0.0.0.0:8000"}),
    ("shop:app -w4 -b:8000", {"WORKERS": "4", "BIND": ":8000"}),
    ("shop:app --workers=4 --bind=unix:/run/shop.sock --umask 007",
     {"WORKERS": "4", "BIND": "unix:/run/shop.sock", "UMASK": "7"}),
    ("shop:app -b :8000 -b [::1]:8001", {"BIND": ":8000,[::1]:8001"}),
    ("shop:app --timeout 120 --graceful-timeout 20 --keep-alive 75",
     {"WORKER_TIMEOUT_SECONDS": "120", "GRACEFUL_TIMEOUT_SECONDS": "20", "KEEPALIVE_SECONDS": "75"}),
    ("shop:app -t 0 -p /run/shop.pid", {"WORKER_TIMEOUT_SECONDS": "0", "PID_FILE": "/run/shop.pid"}),
    ("shop:app --preload --access-logfile - --error-logfile - --log-level debug",
     {"PRELOAD": "true", "ACCESS_LOG": "auto", "LOG_LEVEL": "debug"}),
    ("shop:app --max-requests 1000 --max-requests-jitter 50 --worker-tmp-dir /dev/shm --threads 4 -n shop", {}),
    ("shop:app --forwarded-allow-ips=* --backlog 512", {"TRUSTED_PROXIES": "*", "BACKLOG": "512"}),
    ("shop:app --limit-request-line 8190 --limit-request-fields 50", {"MAX_HEAD_FIELDS": "50"}),
    ("shop:app --pythonpath /srv/a,/srv/b", {"APP_DIR": "/srv/a:/srv/b"}),
    ("shop:app -w auto --no-control-socket --reuse-port", {"WORKERS": "auto"}),
    # uvicorn
    ("shop:app --host 0.0.0.0 --port 80", {"BIND": "0.0.0.0:80"}),
    ("shop:app --host :: --port 80", {"BIND": "[::]:80"}),
    ("shop:app --port 9000", {"BIND": "127.0.0.1:9000"}),
    ("shop:app --host 0.0.0.0", {"BIND": "0.0.0.0:8000"}),
    ("shop:app --uds /tmp/shop.sock", {"BIND": "unix:/tmp/shop.sock"}),
    ("shop:app --fd 3", {"BIND": "fd://3"}),
    ("shop:app --workers 2 --loop uvloop --http httptools --ws websockets --interface asgi3 --lifespan on",
     {"WORKERS": "2", "LIFESPAN": "on"}),
    ("shop:app --proxy-headers --forwarded-allow-ips 10.0.0.0/8 --root-path /api",
     {"TRUSTED_PROXIES": "10.0.0.0/8", "ROOT_PATH": "/api"}),
    ("shop:app --no-proxy-headers --forwarded-allow-ips *", {"TRUSTED_PROXIES": ""}),
    ("shop:app --no-access-log --no-server-header --no-date-header --no-use-colors",
     {"ACCESS_LOG": "off", "SERVER_HEADER": "false", "DATE_HEADER": "false"}),
    ("shop:app --access-log --server-header", {"ACCESS_LOG": "auto", "SERVER_HEADER": "true"}),
    ("shop:app --access-log=json", {"ACCESS_LOG": "json"}),
    ("--access-log common shop:app", {"ACCESS_LOG": "common"}),
    ("--proxy-protocol off --access-log shop:app", {"ACCESS_LOG": "auto"}),
    ("shop:app --header X-A:1 --header X-B:2", {"RESPONSE_HEADERS": "X-A:1\nX-B:2"}),
    ("shop:app --limit-concurrency 100 --timeout-keep-alive 30 --timeout-graceful-shutdown 10",
     {"LIMIT_CONCURRENCY": "100", "KEEPALIVE_SECONDS": "30", "GRACEFUL_TIMEOUT_SECONDS": "10"}),
    ("shop:app --ws-max-size 1024 --ws-ping-interval 5 --ws-ping-timeout 6 --ws-per-message-deflate false",
     {"WS_MAX_BYTES": "1024", "WS_PING_SECONDS": "5", "WS_PING_TIMEOUT_SECONDS": "6",
      "WS_PER_MESSAGE_DEFLATE": "false"}),
    ("shop:app --h11-max-incomplete-event-size 32768 --log-level trace --app-dir src",
     {"MAX_HEAD_BYTES": "32768", "LOG_LEVEL": "debug", "APP_DIR": "src"}),
    # ours
    ("shop:app --no-preload --run-dir /run/p --tuning /etc/t.json --management-bind 0.0.0.0:9090 --log-format text",
     {"PRELOAD": "false", "RUN_DIR": "/run/p", "TUNING_FILE": "/etc/t.json", "MANAGEMENT_BIND": "0.0.0.0:9090",
      "LOG_FORMAT": "text"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "settings"), LINES, ids=[line for line, _ in LINES])
def test_a_start_line_becomes_settings(start: Resolve, line: str, settings: dict[str, str]) -> None:
    found = start(line)
    assert found.application == "shop:app"
    assert found.settings == {f"PACELINE_{name}": value for name, value in settings.items()}


ENVIRONMENTS = [
    ({"WEB_CONCURRENCY": "3"}, {"WORKERS": "3"}),
    ({"PORT": "5000"}, {"BIND": "0.0.0.0:5000"}),
    ({"PORT": "5000", "PACELINE_BIND": "127.0.0.1:1"}, {"BIND": "127.0.0.1:1"}),
    ({"PORT": "5000", "UVICORN_HOST": "127.0.0.1"}, {"BIND": "127.0.0.1:5000"}),
    ({"UVICORN_HOST": "0.0.0.0", "UVICORN_PORT": "80"}, {"BIND": "0.0.0.0:80"}),
    ({"UVICORN_WORKERS": "2", "WEB_CONCURRENCY": "3"}, {"WORKERS": "2"}),
    ({"UVICORN_ACCESS_LOG": "false", "UVICORN_LOG_LEVEL": "warning"}, {"ACCESS_LOG": "off", "LOG_LEVEL": "warning"}),
    ({"UVICORN_PROXY_HEADERS": "0"}, {"TRUSTED_PROXIES": ""}),
    ({"UVICORN_PROXY_HEADERS": "false", "PACELINE_TRUSTED_PROXIES": "*"}, {"TRUSTED_PROXIES": ""}),
    ({"UVICORN_PROXY_HEADERS": "true", "FORWARDED_ALLOW_IPS": "*"}, {"TRUSTED_PROXIES": "*"}),
    ({"GUNICORN_CMD_ARGS": "--no-proxy-headers", "FORWARDED_ALLOW_IPS": "*"}, {"TRUSTED_PROXIES": ""}),
    ({"GUNICORN_CMD_ARGS": "--no-proxy-headers", "UVICORN_PROXY_HEADERS": "1"}, {}),
    ({"FORWARDED_ALLOW_IPS": "10.0.0.0/8"}, {"TRUSTED_PROXIES": "10.0.0.0/8"}),
    ({"FORWARDED_ALLOW_IPS": "*", "PACELINE_TRUSTED_PROXIES": "10.0.0.1"}, {"TRUSTED_PROXIES": "10.0.0.1"}),
    ({"WEB_CONCURRENCY": "auto"}, {"WORKERS": "auto"}),
    ({"UVICORN_HEADERS": "X-A:1 X-B:2"}, {"RESPONSE_HEADERS": "X-A:1\nX-B:2"}),
    ({"UVICORN_RELOAD": "false", "UVICORN_SSL_VERSION": "17"}, {}),
    ({"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:81 --workers=3 --timeout '60'"},
     {"BIND": "127.0.0.1:81", "WORKERS": "3", "WORKER_TIMEOUT_SECONDS": "60"}),
    ({"GUNICORN_CMD_ARGS": "-w 3", "UVICORN_WORKERS": "2", "PACELINE_WORKERS": "4"}, {"WORKERS": "4"}),
    ({"GUNICORN_CMD_ARGS": "", "WEB_CONCURRENCY": "", "PORT": "", "UVICORN_PORT": ""}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "settings"), ENVIRONMENTS, ids=[" ".join(each) for each, _ in ENVIRONMENTS])
def test_an_environment_becomes_settings(start: Resolve, environment: dict[str, str], settings: dict[str, str]) -> None:
    found = start("shop:app", environment)
    assert found.settings == {f"PACELINE_{name}": value for name, value in settings.items()}


REFUSED = [
    ("shop:app --reload", "--reload is not offered: use `uvicorn --reload`"),
    ("shop:app -k gevent", "-k gevent is not offered: workers are Paceline's own.*a2wsgi"),
    ("shop:app -k shop.worker.MyWorker", "CONFIG_KWARGS of a class of yours as options"),
    ("shop:app --ssl-keyfile k.pem --ssl-certfile c.pem", "--ssl-keyfile is not offered: end TLS in front"),
    ("shop:app --certfile c.pem", "--certfile is not offered: end TLS in front"),
    ("shop:app -D", "-D is not offered: it stays in the foreground"),
    ("shop:app --user www-data", "--user is not offered: start it as that user"),
    ("shop:app --loop asyncio", "--loop asyncio is not offered: workers run uvloop"),
    ("shop:app --interface wsgi", "--interface wsgi is not offered: .*WSGIMiddleware"),
    ("shop:app --proxy-protocol", "--proxy-protocol is not offered: have the proxy send X-Forwarded-For"),
    ("shop:app --log-config log.ini", "--log-config is not offered: configure logging in the application"),
    ("shop:app --access-logfile /var/log/a", "--access-logfile /var/log/a is not offered.*1>>/var/log/a"),
    ("shop:app --error-logfile /var/log/e", "--error-logfile /var/log/e is not offered.*2>>FILE"),
    ("shop:app --wrokers 4", r"no option --wrokers; did you mean --workers\?"),
    ("shop:create_app shop --factory", "one argument too many"),
    ("shop --factory", "--factory calls a factory, and 'shop' names none; write MODULE:FACTORY, .*shop:create_app"),
    ("shop:app -x", "there is no option -x"),
    ("shop:app --workers", r"--workers needs a value: --workers N\|auto"),
    ("shop:app --workers --preload", "--workers needs a value"),
    ("shop:app --preload=yes", "--preload takes no value"),
    ("shop:app --workers some", "--workers is wrong: 'some' is neither a number from 1 on nor `auto`"),
    ("shop:app --port eighty", "--port is wrong: 'eighty' is no port number"),
    ("shop:app --bind :80 --port 81", "--bind and --port do not go together"),
    ("shop:app shop:other", "'shop:other' is one argument too many after 'shop:app'"),
    ("shop:app --umask rwx", "--umask is wrong: 'rwx' is no mask"),
    ("shop:app --env DEBUG", "--env 'DEBUG' is wrong; write NAME=VALUE"),
    ("shop:app --env-file nowhere.env", "no file 'nowhere.env' of variables"),
    ("shop:app -c nowhere.py", "no configuration file 'nowhere.py'"),
    ("shop:app --ws-per-message-deflate perhaps", "'perhaps' is neither true nor false"),
]


@pytest.mark.parametrize(("line", "says"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_is_not_offered_or_wrong_is_said_in_one_line(start: Resolve, line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        start(line)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"GUNICORN_CMD_ARGS": "--wrokers 4"}, "GUNICORN_CMD_ARGS is wrong: there is no option --wrokers"),
        ({"GUNICORN_CMD_ARGS": "--bind ':80"}, "GUNICORN_CMD_ARGS is wrong: No closing quotation"),
        ({"GUNICORN_CMD_ARGS": "shop:app"}, "GUNICORN_CMD_ARGS is wrong: 'shop:app' is no option"),
        ({"GUNICORN_CMD_ARGS": "--certfile c"}, "--certfile in GUNICORN_CMD_ARGS is not offered"),
        ({"UVICORN_RELOAD": "true"}, "UVICORN_RELOAD is not offered"),
        ({"UVICORN_SSL_KEYFILE": "k.pem"}, "UVICORN_SSL_KEYFILE is not offered"),
        ({"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY is wrong: 'many'"),
        ({"UVICORN_PORT": "tcp://10.0.0.1:80"}, "UVICORN_PORT is wrong: 'tcp://10.0.0.1:80' is no port"),
        ({"PORT": "x"}, "PORT is wrong: 'x' is no port"),
    ],
)
def test_what_an_environment_has_wrong_is_named_with_its_variable(
    start: Resolve, environment: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        start("shop:app", environment)


def test_the_command_line_wins_over_the_environment_and_that_over_files(start: Resolve, tmp_path: Path) -> None:
    (tmp_path / "paceline.toml").write_text("workers = 3\nmax_workers = 9\nlog_level = 'error'\nbacklog = 10")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\ntimeout = 7\nbacklog = 11")
    found = start("shop:app -w 5", {"PACELINE_WORKERS": "4", "PACELINE_LOG_LEVEL": "debug", "WEB_CONCURRENCY": "1"})
    assert found.settings == {
        "PACELINE_WORKERS": "5",
        "PACELINE_LOG_LEVEL": "debug",
        "PACELINE_MAX_WORKERS": "9",
        "PACELINE_BACKLOG": "10",
        "PACELINE_WORKER_TIMEOUT_SECONDS": "7",
    }
    assert found.written == {
        "PACELINE_WORKERS": "-w",
        "PACELINE_LOG_LEVEL": "PACELINE_LOG_LEVEL",
        "PACELINE_MAX_WORKERS": "max_workers in paceline.toml",
        "PACELINE_BACKLOG": "backlog in paceline.toml",
        "PACELINE_WORKER_TIMEOUT_SECONDS": "timeout in gunicorn.conf.py",
    }


def test_what_needs_nothing_and_what_has_no_effect_are_told_apart(start: Resolve) -> None:
    found = start("shop:app --threads 2 --max-requests 100 --reload-dir src", {"UVICORN_WS_MAX_QUEUE": "3"})
    assert [note.partition(" is ")[0] for note in found.notes] == ["--threads", "--reload-dir", "UVICORN_WS_MAX_QUEUE"]
    (warning,) = found.warnings
    assert warning.startswith("--max-requests has no effect: ")
    assert "SIGHUP" in warning


@pytest.mark.parametrize(
    ("line", "bind", "together"),
    [
        ("--port 9000", "0.0.0.0:8000", "0.0.0.0:9000"),
        ("--port 9000", ":8000", "0.0.0.0:9000"),
        ("--host 10.0.0.1", "[::]:8000", "10.0.0.1:8000"),
        ("--port 9000", "[::]:8000", "[::]:9000"),
        ("--port 9000", "tcp://0.0.0.0:8000", "0.0.0.0:9000"),
        ("--port 9000", "0.0.0.0", "0.0.0.0:9000"),
        ("--port 9000", "[::1]", "[::1]:9000"),
        ("--port 9000", "", "127.0.0.1:9000"),
        ("--port 9000", "unix:8000", "127.0.0.1:9000"),
        ("--port 9000", "fd://3", "127.0.0.1:9000"),
        ("--port 9000", "unix:/run/shop.sock", "127.0.0.1:9000"),
        ("--port 9000", ":8000,:8001", "127.0.0.1:9000"),
        ("--uds a", ":8000", "unix:a"),
    ],
)
def test_half_an_address_takes_the_other_half_from_what_it_replaces(
    start: Resolve, line: str, bind: str, together: str
) -> None:
    assert start(f"shop:app {line}", {"PACELINE_BIND": bind}).settings["PACELINE_BIND"] == together


def test_a_variable_that_is_nearly_one_is_told(start: Resolve) -> None:
    environment = {"PACELINE_WORKER": "3", "UVICORN_WROKERS": "3", "PACELINE_PORT": "tcp://10.0.0.1:80"}
    environment |= {"PACELINE_SERVICE_HOST": "10.0.0.1", "PACELINE_STRICT": "1", "UVICORN_APP": "x:app", "WORKERS": "1"}
    assert start("shop:app", environment).warnings == (
        "nobody reads the variable PACELINE_WORKER; did you mean PACELINE_WORKERS?",
        "nobody reads the variable UVICORN_WROKERS; did you mean UVICORN_WORKERS?",
    )


def test_a_factory_is_called(start: Resolve) -> None:
    assert start("shop:create_app --factory").application == "shop:create_app()"
    assert start("shop:create_app('x') --factory").application == "shop:create_app('x')"
    assert start("shop:create_app", {"UVICORN_FACTORY": "1"}).application == "shop:create_app()"
    assert start("shop:create_app", {"UVICORN_FACTORY": "0"}).application == "shop:create_app"


def test_the_application_may_be_named_elsewhere(start: Resolve, tmp_path: Path) -> None:
    assert start("").application is None
    (tmp_path / "gunicorn.conf.py").write_text("wsgi_app = 'four:app'")
    assert start("").application == "four:app"
    (tmp_path / "pyproject.toml").write_text("[tool.paceline]\napp = 'three:app'")
    assert start("").application == "three:app"
    assert start("", {"UVICORN_APP": "two:app"}).application == "two:app"
    assert start("", {"UVICORN_APP": "two:app", "PACELINE_APP": "one:app"}).application == "one:app"
    assert start("zero:app", {"PACELINE_APP": "one:app"}).application == "zero:app"


def test_variables_for_the_application(start: Resolve, tmp_path: Path) -> None:
    (tmp_path / "shop.env").write_text("DEBUG=1\nTOKEN='a b'\nPACELINE_WORKERS=3\n")
    found = start("shop:app -e DEBUG=2 --env-file shop.env", {"TOKEN": "kept"})
    assert found.environment == {"DEBUG": "2", "PACELINE_WORKERS": "3"}
    assert found.settings["PACELINE_WORKERS"] == "3"


def test_what_counts_on_the_command_line_only_is_told_elsewhere(start: Resolve, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("print_config = False")
    (tmp_path / "x").touch()
    for line in ("--env-file nowhere", "--print-settings", "--help"):
        found = start("shop:app", {"GUNICORN_CMD_ARGS": line})
        (warning,) = found.warnings
        assert warning == f"{line.split()[0]} in GUNICORN_CMD_ARGS has no effect there: give it on the command line"
    assert start("shop:app --env-file x", {"UVICORN_ENV_FILE": "x"}).warnings == ()


def test_help_and_version_need_no_application(start: Resolve) -> None:
    assert start("--help").asked == {"help"}
    assert start("-v").asked == {"version"}
    assert start("shop:app --print-config").asked == {"print"}


WORDS = st.sampled_from([*BY_FLAG, "shop:app", "1", "-", "--", "auto", "", "-w3", "--bind=:1"]) | st.text(max_size=6)
VARIABLES = st.sampled_from(["PORT", "WEB_CONCURRENCY", "UVICORN_PORT", "UVICORN_UDS", "GUNICORN_CMD_ARGS"])


@given(st.lists(WORDS))
def test_any_words_are_resolved_or_refused(words: list[str]) -> None:
    with suppress(UsageError):
        assert isinstance(resolve(words, {}, Path("/nowhere")), Start)


@given(st.dictionaries(VARIABLES, st.text(max_size=8)))
def test_any_environment_is_resolved_or_refused(environment: dict[str, str]) -> None:
    with suppress(UsageError):
        assert resolve(["shop:app"], environment, Path("/nowhere")).application == "shop:app"


def test_every_option_that_is_offered_is_in_the_help() -> None:
    from paceline.startline.shown import help_text

    text = help_text()
    offered = [flag for row in ROWS if row.becomes for flag in (*row.flags, *row.off)]
    assert len(offered) > 50
    assert [flag for flag in offered if flag not in text] == []
