"""Every setting of gunicorn and uvicorn, and our own options: what becomes of each. Data alone.

The command line, its messages and docs/start-lines.md follow from it. A test holds it against the installed packages.
A row is `(names, flags, value, becomes, text)`: names as `g:NAME u:NAME`, flags as `-x --yes/--no`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from paceline.startline.rows import Fate, Row, row

_SETTINGS: Final = (
    ("g:bind", "-b --bind", "ADDRESS+", "PACELINE_BIND",
     "Where it listens: HOST:PORT, :PORT, [IPv6]:PORT, unix:PATH or fd://N; may be given again. [127.0.0.1:8000]"),
    ("u:host", "--host", "HOST", "host", "With --port, in place of --bind."),
    ("u:port", "--port", "PORT", "port", "With --host, in place of --bind."),
    ("u:uds", "--uds", "PATH", "uds", "As --bind unix:PATH."),
    ("u:fd", "--fd", "N", "fd", "As --bind fd://N."),
    ("", "--management-bind", "ADDRESS", "PACELINE_MANAGEMENT_BIND",
     "/livez /readyz /metrics /state. [127.0.0.1:9090]"),
    ("g:workers u:workers", "-w --workers", "N|auto", "PACELINE_WORKERS",
     "Worker processes without a document; auto: one for each core it may use. [1]"),
    ("", "--tuning", "FILE", "PACELINE_TUNING_FILE", "The tuning document; may appear later."),
    ("g:preload_app", "--preload/--no-preload", "", "PACELINE_PRELOAD", "Load the application before forking. [yes]"),
    ("", "--run-dir", "FOLDER", "PACELINE_RUN_DIR", "Files between the processes. [a temporary one]"),
    ("g:pythonpath", "--pythonpath", "FOLDERS", "PACELINE_APP_DIR", "Folders to import from, separated by commas."),
    ("u:app_dir", "--app-dir", "FOLDER", "PACELINE_APP_DIR", "Folder to import from, before the current one."),
    ("g:pidfile", "-p --pid", "FILE", "PACELINE_PID_FILE", "Holds the pid of the pod's first process while it runs."),
    ("g:umask", "-m --umask", "MASK", "PACELINE_UMASK", "For the permissions of a unix socket. [0]"),
    ("g:backlog u:backlog", "--backlog", "N", "PACELINE_BACKLOG", "Connections that may wait to be taken. [2048]"),
    ("g:timeout", "-t --timeout", "SECONDS", "PACELINE_WORKER_TIMEOUT_SECONDS",
     "A worker whose event loop is silent for so long is killed; 0: never. [30]"),
    ("g:graceful_timeout u:timeout_graceful_shutdown", "--graceful-timeout --timeout-graceful-shutdown", "SECONDS",
     "PACELINE_GRACEFUL_TIMEOUT_SECONDS", "Longest request that a worker waits for when it stops. [30]"),
    ("g:keepalive u:timeout_keep_alive", "--keep-alive --timeout-keep-alive", "SECONDS", "PACELINE_KEEPALIVE_SECONDS",
     "How long an idle connection stays open. [5]"),
    ("u:limit_concurrency", "--limit-concurrency", "N", "PACELINE_LIMIT_CONCURRENCY",
     "Requests that a worker handles at the same time; more get 503. [no limit]"),
    ("g:limit_request_fields", "--limit-request-fields", "N", "PACELINE_MAX_HEAD_FIELDS",
     "A request with more header fields gets 431. [100]"),
    ("u:h11_max_incomplete_event_size", "--h11-max-incomplete-event-size", "BYTES", "PACELINE_MAX_HEAD_BYTES",
     "A request with a larger head gets 431. [65536]"),
    ("g:root_path u:root_path", "--root-path", "PATH", "PACELINE_ROOT_PATH",
     "Where a proxy mounts the application, as it takes the prefix off."),
    ("g:forwarded_allow_ips u:forwarded_allow_ips", "--forwarded-allow-ips", "ADDRESSES", "PACELINE_TRUSTED_PROXIES",
     "Peers whose X-Forwarded-* count: addresses, networks, `*`. [127.0.0.1,::1]"),
    ("u:proxy_headers", "--proxy-headers/--no-proxy-headers", "", "PACELINE_TRUSTED_PROXIES",
     "Whether X-Forwarded-* of those count at all. [yes]"),
    ("u:access_log", "--access-log/--no-access-log", "[auto|json|common|off]", "PACELINE_ACCESS_LOG",
     "A line a request on stdout: json, common, or auto: as the log. [no]"),
    ("g:accesslog", "--access-logfile", "FILE", "PACELINE_ACCESS_LOG", "Only `-`, standard output; as --access-log."),
    ("g:loglevel u:log_level", "--log-level", "LEVEL", "PACELINE_LOG_LEVEL",
     "debug, info, warning, error or critical; the application's own wins. [info]"),
    ("", "--log-format", "FORMAT", "PACELINE_LOG_FORMAT", "json, text, or auto: text on a terminal. [auto]"),
    ("g:asgi_lifespan u:lifespan", "--lifespan --asgi-lifespan", "auto|on|off", "PACELINE_LIFESPAN",
     "Whether start-up and shutdown events are sent; on: the application must take them. [auto]"),
    ("u:server_header", "--server-header/--no-server-header", "", "PACELINE_SERVER_HEADER",
     "Responses carry `Server: uvicorn`. [no]"),
    ("u:date_header", "--date-header/--no-date-header", "", "PACELINE_DATE_HEADER", "Responses carry `Date`. [yes]"),
    ("u:headers", "--header", "NAME:VALUE+", "PACELINE_RESPONSE_HEADERS", "Every response carries it."),
    ("u:ws_max_size g:websocket_max_message_size", "--ws-max-size --websocket-max-message-size", "BYTES",
     "PACELINE_WS_MAX_BYTES", "Largest WebSocket message. [16777216]"),
    ("u:ws_ping_interval", "--ws-ping-interval", "SECONDS", "PACELINE_WS_PING_SECONDS",
     "Between two pings to an open WebSocket; 0: none. [20]"),
    ("u:ws_ping_timeout", "--ws-ping-timeout", "SECONDS", "PACELINE_WS_PING_TIMEOUT_SECONDS",
     "A WebSocket without a pong for so long is closed; 0: never. [20]"),
    ("u:ws_per_message_deflate", "--ws-per-message-deflate", "BOOL", "PACELINE_WS_PER_MESSAGE_DEFLATE",
     "WebSocket messages may be compressed. [true]"),
)  # fmt: skip

_ACTIONS: Final = (
    ("g:wsgi_app u:app", "", "MODULE:APP", "application",
     "The ASGI application; `MODULE:create_app()` calls a factory."),
    ("u:factory", "--factory", "", "factory", "The application is a factory: call it without arguments."),
    ("g:config", "-c --config", "FILE", "config", "paceline.toml, pyproject.toml or gunicorn.conf.py; see the docs."),
    ("g:chdir", "--chdir", "FOLDER", "chdir", "Where everything runs. [the current folder]"),
    ("g:raw_env", "-e --env", "NAME=VALUE+", "env", "A variable of the environment."),
    ("u:env_file", "--env-file", "FILE", "env_file", "Variables that the environment does not set."),
    ("g:print_config", "--print-settings --print-config", "", "print",
     "Print every setting with its source; start nothing."),
    ("u:version", "-v --version", "", "version", "Print versions; start nothing."),
    ("", "-h --help", "", "help", "Print this; start nothing."),
)  # fmt: skip

_HEAD = "the whole head has one limit, PACELINE_MAX_HEAD_BYTES"
_NO_HTTP2 = "no HTTP/2 is spoken; a proxy in front may speak it"
_NOT_NEEDED: Final = (
    ("g:threads", "--threads", "N", "workers run an event loop; the threads of sync routes are the pool `threads`"),
    ("g:worker_connections", "--worker-connections", "N",
     "connections have a limit of their own, PACELINE_MAX_CONNECTIONS"),
    ("g:limit_request_line", "--limit-request-line", "BYTES", _HEAD),
    ("g:limit_request_field_size", "--limit-request-field_size", "BYTES", _HEAD),
    ("g:sendfile", "--no-sendfile", "", "workers do not use sendfile"),
    ("g:reuse_port", "--reuse-port", "", "all workers take connections from the same sockets, evenly"),
    ("g:worker_tmp_dir", "--worker-tmp-dir", "FOLDER", "heartbeats are in memory where there is /dev/shm"),
    ("g:tmp_upload_dir", "", "", "no request body is written to a file"),
    ("g:secure_scheme_headers", "", "", "X-Forwarded-Proto of a trusted proxy counts; see PACELINE_FORWARDED_BY"),
    ("g:disable_redirect_access_to_syslog", "--disable-redirect-access-to-syslog", "", "nothing goes to syslog"),
    ("g:capture_output", "--capture-output", "", "standard output and error go where they lead"),
    ("g:enable_stdio_inheritance", "-R --enable-stdio-inheritance", "", "standard streams are inherited"),
    ("g:enable_backlog_metric", "--enable-backlog-metric", "", "there is /metrics on the management port"),
    ("g:proc_name", "-n --name", "NAME", "processes are named by their command lines; see PACELINE_POD_NAME"),
    ("g:default_proc_name", "", "", "processes are named by their command lines"),
    ("g:initgroups", "--initgroups", "", "no process changes its user"),
    ("g:ssl_version u:ssl_version", "--ssl-version", "VERSION", "it says nothing without a certificate"),
    ("g:cert_reqs", "--cert-reqs", "N", "it says nothing without a certificate"),
    ("u:ssl_cert_reqs", "--ssl-cert-reqs", "N", "it says nothing without a certificate"),
    ("g:suppress_ragged_eofs", "--suppress-ragged-eofs", "", "it says nothing without a certificate"),
    ("g:do_handshake_on_connect", "--do-handshake-on-connect", "", "it says nothing without a certificate"),
    ("g:http2_max_concurrent_streams", "--http2-max-concurrent-streams", "N", _NO_HTTP2),
    ("g:http2_initial_window_size", "--http2-initial-window-size", "BYTES", _NO_HTTP2),
    ("g:http2_max_frame_size", "--http2-max-frame-size", "BYTES", _NO_HTTP2),
    ("g:http2_max_header_list_size", "--http2-max-header-list-size", "BYTES", _NO_HTTP2),
    ("g:proxy_allow_ips", "--proxy-allow-from", "ADDRESSES", "the PROXY protocol is not spoken"),
    ("g:uwsgi_allow_ips", "--uwsgi-allow-from", "ADDRESSES", "the uwsgi protocol is not spoken"),
    ("g:forwarder_headers", "--forwarder-headers", "NAMES", "no header sets a path; see --root-path"),
    ("g:header_map", "--header-map", "HOW", "ASGI hands headers on as they came"),
    ("g:asgi_disconnect_grace_period", "--asgi-disconnect-grace-period", "SECONDS",
     "a handler whose client left goes on, as under uvicorn"),
    ("g:dirty_workers", "--dirty-workers", "N", "it says nothing without a dirty application"),
    ("g:dirty_timeout", "--dirty-timeout", "SECONDS", "it says nothing without a dirty application"),
    ("g:dirty_threads", "--dirty-threads", "N", "it says nothing without a dirty application"),
    ("g:dirty_graceful_timeout", "--dirty-graceful-timeout", "SECONDS", "it says nothing without a dirty application"),
    ("g:control_socket", "--control-socket", "PATH", "the worker count comes from the tuning document"),
    ("g:control_socket_mode", "--control-socket-mode", "MODE", "there is no control socket"),
    ("g:control_socket_disable", "--no-control-socket", "", "there is no control socket"),
    ("g:syslog_prefix", "--log-syslog-prefix", "TEXT", "nothing goes to syslog"),
    ("g:syslog_facility", "--log-syslog-facility", "NAME", "nothing goes to syslog"),
    ("g:dogstatsd_tags", "--dogstatsd-tags", "TAGS", "it says nothing without statsd"),
    ("g:statsd_prefix", "--statsd-prefix", "TEXT", "it says nothing without statsd"),
    ("g:reload_engine", "--reload-engine", "NAME", "it says nothing without --reload"),
    ("g:reload_extra_files", "--reload-extra-file", "FILE+", "it says nothing without --reload"),
    ("u:reload_dirs", "--reload-dir", "FOLDER+", "it says nothing without --reload"),
    ("u:reload_includes", "--reload-include", "PATTERN+", "it says nothing without --reload"),
    ("u:reload_excludes", "--reload-exclude", "PATTERN+", "it says nothing without --reload"),
    ("u:reload_delay", "--reload-delay", "SECONDS", "it says nothing without --reload"),
    ("u:ws_max_queue", "--ws-max-queue", "N", "at most one packet waits in a worker, the others in the kernel"),
    ("u:use_colors", "--use-colors/--no-use-colors", "", "no line is coloured"),
    ("u:timeout_worker_healthcheck", "--timeout-worker-healthcheck", "SECONDS",
     "workers beat every second; see --timeout"),
    ("u:limit_max_requests_jitter", "--limit-max-requests-jitter", "N", "it says nothing without --limit-max-requests"),
    ("g:max_requests_jitter", "--max-requests-jitter", "N", "it says nothing without --max-requests"),
)  # fmt: skip

_RECYCLE = (
    "workers are not replaced after a number of requests; SIGHUP replaces all of them and loses none, and /state shows"
    " the memory of each"
)
_LIFESPAN, _WORKER = "do it in the application's lifespan", "do it in the lifespan, which every worker runs"
_NO_EFFECT: Final = (
    ("g:max_requests", "--max-requests", "N", _RECYCLE),
    ("u:limit_max_requests", "--limit-max-requests", "N", _RECYCLE),
    ("g:access_log_format", "--access-logformat", "FORMAT", "the lines have fixed fields; --access-log=json has all"),
    ("g:on_starting", "", "", "run it before `paceline serve`, or with tune.once_per_pod"),
    ("g:on_reload", "", "", "SIGHUP loads the application anew: do it while it is imported"),
    ("g:when_ready", "", "", "/readyz says so on the management port; for work that runs once use tune.once_per_pod"),
    ("g:pre_fork", "", "", "do it while the application is imported"),
    ("g:post_fork", "", "", _WORKER),
    ("g:post_worker_init", "", "", _WORKER),
    ("g:worker_int", "", "", _LIFESPAN),
    ("g:worker_abort", "", "", "a silent worker is killed; its last log lines tell where it was"),
    ("g:pre_exec", "", "", "no second server is started beside this one"),
    ("g:pre_request", "", "", "use ASGI middleware"),
    ("g:post_request", "", "", "use ASGI middleware"),
    ("g:child_exit", "", "", "what prometheus_client counted is added up without it; see PACELINE_APP_METRICS"),
    ("g:worker_exit", "", "", _LIFESPAN),
    ("g:nworkers_changed", "", "", "`paceline_workers` of /metrics tells the number"),
    ("g:on_exit", "", "", _LIFESPAN),
    ("g:on_dirty_starting", "", "", "use tune.processes"),
    ("g:dirty_post_fork", "", "", "use tune.processes"),
    ("g:dirty_worker_init", "", "", "use tune.processes"),
    ("g:dirty_worker_exit", "", "", "use tune.processes"),
)  # fmt: skip

_TLS = "end TLS in front (ingress, mesh, proxy) and name it in --forwarded-allow-ips"
_RELOAD = "use `uvicorn --reload` while you write; here SIGHUP loads the application anew without losing a request"
_LOGS = "configure logging in the application: its handlers win, and files are reopened on SIGUSR1"
_STRICT = "requests are parsed strictly; have a proxy in front mend them"
_PASTE = "make the application in a module and name it: MODULE:APP"
_STATSD = "scrape /metrics of the management port"
_USER = "start it as that user: `setpriv --reuid`, User= of systemd, runAsUser of a pod"
_WORKERS_OF_UVICORN = "uvicorn.workers.UvicornWorker uvicorn.workers.UvicornH11Worker uvicorn_worker.UvicornWorker"
_NOT_OFFERED: Final = (
    ("g:worker_class", "-k --worker-class", "CLASS",
     "workers are Paceline's own, of uvicorn's kind: leave it out, and give CONFIG_KWARGS of a class of yours as"
     " options; WSGI applications need a2wsgi, or stay with gunicorn",
     f"{_WORKERS_OF_UVICORN} uvicorn_worker.UvicornH11Worker asgi"),
    ("g:reload u:reload", "--reload", "", _RELOAD),
    ("g:spew", "--spew", "", "use `python -X dev` or a debugger"),
    ("g:check_config", "--check-config", "", "use `paceline check MODULE:APP`"),
    ("g:daemon", "-D --daemon", "", "it stays in the foreground: have systemd, a container or `&` keep it"),
    ("g:user", "-u --user", "USER", _USER),
    ("g:group", "-g --group", "GROUP", _USER),
    ("g:errorlog", "--error-logfile --log-file", "FILE", "the log goes to standard error: append 2>>FILE",
     "- /dev/stderr /proc/self/fd/2"),
    ("g:logger_class", "--logger-class", "CLASS", _LOGS, "gunicorn.glogging.Logger"),
    ("g:logconfig u:log_config", "--log-config", "FILE", _LOGS),
    ("g:logconfig_dict", "", "", _LOGS),
    ("g:logconfig_json", "--log-config-json", "FILE", _LOGS),
    ("g:syslog_addr", "--log-syslog-to", "ADDRESS", _LOGS, "udp://localhost:514"),
    ("g:syslog", "--log-syslog", "", _LOGS),
    ("g:statsd_host", "--statsd-host", "HOST", _STATSD),
    ("g:paste", "--paste --paster", "FILE", _PASTE),
    ("g:raw_paste_global_conf", "--paste-global", "NAME=VALUE+", _PASTE),
    ("g:ssl_context", "", "", _TLS),
    ("u:ssl_context_factory", "", "", _TLS),
    ("g:keyfile", "--keyfile", "FILE", _TLS),
    ("g:certfile", "--certfile", "FILE", _TLS),
    ("g:ca_certs", "--ca-certs", "FILE", _TLS),
    ("g:ciphers", "--ciphers", "NAMES", _TLS),
    ("u:ssl_keyfile", "--ssl-keyfile", "FILE", _TLS),
    ("u:ssl_certfile", "--ssl-certfile", "FILE", _TLS),
    ("u:ssl_keyfile_password", "--ssl-keyfile-password", "TEXT", _TLS),
    ("u:ssl_ca_certs", "--ssl-ca-certs", "FILE", _TLS),
    ("u:ssl_ciphers", "--ssl-ciphers", "NAMES", _TLS),
    ("g:proxy_protocol", "--proxy-protocol", "[off|v1|v2|auto]", "have the proxy send X-Forwarded-For or Forwarded",
     "off"),
    ("g:protocol", "--protocol", "NAME", "have the proxy speak HTTP to it", "http"),
    ("g:http_protocols", "--http-protocols", "NAMES", "HTTP/1.1 is spoken; a proxy in front may speak others", "h1"),
    ("g:http2_cleartext", "--http2-cleartext", "HOW", _NO_HTTP2, "off"),
    ("u:http2", "--http2", "", _NO_HTTP2),
    ("g:permit_obsolete_folding", "--permit-obsolete-folding", "", _STRICT),
    ("g:strip_header_spaces", "--strip-header-spaces", "", _STRICT),
    ("g:permit_unconventional_http_method", "--permit-unconventional-http-method", "", _STRICT),
    ("g:permit_unconventional_http_version", "--permit-unconventional-http-version", "", _STRICT),
    ("g:casefold_http_method", "--casefold-http-method", "", _STRICT),
    ("g:tolerate_dangerous_framing", "--tolerate-dangerous-framing", "", _STRICT),
    ("g:asgi_loop u:loop", "--loop --asgi-loop", "NAME", "workers run uvloop: leave it out", "auto uvloop"),
    ("u:http", "--http", "NAME", "requests are parsed by httptools: leave it out", "auto httptools"),
    ("g:http_parser", "--http-parser", "NAME", "requests are parsed by httptools: leave it out", "auto fast"),
    ("u:ws", "--ws", "NAME", "WebSockets are spoken by websockets: leave it out",
     "auto websockets websockets-sansio"),
    ("u:interface", "--interface", "NAME",
     "applications are ASGI 3: wrap others in a2wsgi.WSGIMiddleware or asgiref's guarantee_single_callable",
     "auto asgi3"),
    ("u:reset_contextvars", "--reset-contextvars", "", "set context variables in a dependency or middleware instead"),
    ("g:dirty_apps", "--dirty-app", "APP+", "use tune.processes for work that needs processes of its own"),
)  # fmt: skip


def _rows(fate: Fate, rows: Iterable[tuple[str, ...]]) -> Iterator[Row]:
    for names, flags, metavar, *rest in rows:
        yield row(fate, names, flags, metavar, *(rest if fate in _WITH_TARGET else ("", *rest)))


_WITH_TARGET: Final = (Fate.SETTING, Fate.ACTION)
ROWS: Final = (
    *_rows(Fate.SETTING, _SETTINGS),
    *_rows(Fate.ACTION, _ACTIONS),
    *_rows(Fate.NOT_NEEDED, _NOT_NEEDED),
    *_rows(Fate.NO_EFFECT, _NO_EFFECT),
    *_rows(Fate.NOT_OFFERED, _NOT_OFFERED),
)
BY_FLAG: Final = {flag: each for each in ROWS for flag in (*each.flags, *each.off)}
BY_NAME: Final = {name: each for each in ROWS for name in each.names}
