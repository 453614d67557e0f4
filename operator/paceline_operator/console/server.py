"""Serves the pages on loopback: read-only, without authentication of its own, hence reached by port-forward alone."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from paceline_operator.console.listener import Listener
from paceline_operator.console.page import missing_page
from paceline_operator.console.policy_page import policy_page
from paceline_operator.console.rendered import RenderedFleet
from paceline_operator.console.view import budget_of, row_of
from paceline_operator.errors import UsageError
from paceline_operator.listening import listening, split_bind
from paceline_operator.ports import PolicyKey

SETTING: Final = "PACELINE_OPERATOR_CONSOLE_BIND"
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
ASSETS: Final = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
MOST_STREAMS: Final = 32
"""Pages that are told of news at the same time."""
LOOK_SECONDS: Final = 1.0
"""Between two looks for news: a page is told of it once a second at most."""
QUIET_LOOKS: Final = 15
"""Looks without news after which a stream says that it is alive."""


class Console:
    """The pages of what a listener has heard."""

    def __init__(self, listener: Listener, *, now: Callable[[], datetime], jaeger_url: str = "") -> None:
        self._listener = listener
        self._fleet_page = RenderedFleet(listener)
        self._now = now
        self._jaeger_url = jaeger_url
        self._streams = 0
        self._ending = False

    def application(self) -> web.Application:
        """All that is served: GET and HEAD, no more."""
        app = web.Application(middlewares=[_guarded])
        app.add_routes([web.get("/", self._fleet), web.get("/policies/{namespace}/{name}", self._policy)])
        app.add_routes([web.get("/events", self._events)])
        app.add_routes([web.get(f"/{name}", _asset(name, kind)) for name, kind in ASSETS.items()])
        app.on_shutdown.append(self._end)
        return app

    async def _fleet(self, _: web.Request) -> web.Response:
        return _html(self._fleet_page.at(self._now()))

    async def _policy(self, request: web.Request) -> web.Response:
        heard, now = self._listener, self._now()
        key = PolicyKey(request.match_info["namespace"], request.match_info["name"])
        past = heard.policies.get(key)
        if past is None:
            page = missing_page(str(key), heard.began, version=heard.version, unheard=heard.hides(key))
            return _html(page, status=404)
        budgets = tuple(
            budget_of(name, status)
            for name, status in sorted(heard.budgets.items())
            if any(member["policy"] == str(key) for member in status.get("members") or ())
        )
        chosen = request.query.get("range", "")
        row = row_of(key, past, now.timestamp())
        return _html(
            policy_page(
                row,
                past,
                heard.began,
                now,
                version=heard.version,
                chosen=chosen,
                jaeger_url=self._jaeger_url,
                budgets=budgets,
            )
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one as soon as there is news, with no more in it than that."""
        if self._streams >= MOST_STREAMS:
            return web.Response(status=503, text=f"{MOST_STREAMS} pages are open already\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        self._streams += 1
        try:
            await response.prepare(request)
            await self._tell(response)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._streams -= 1
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        told, quiet = "", 0
        while not self._ending:
            version = self._listener.version
            quiet = 0 if version != told else quiet + 1
            if version != told:
                await response.write(f"data: {version}\n\n".encode())
            elif quiet % QUIET_LOOKS == 0:
                await response.write(b": quiet\n\n")
            told = version
            await asyncio.sleep(LOOK_SECONDS)

    async def _end(self, _: web.Application) -> None:
        self._ending = True


@asynccontextmanager
async def console_endpoint(
    bind: str, *, now: Callable[[], datetime], jaeger_url: str = ""
) -> AsyncIterator[Listener | None]:
    """Serves until the block ends, and gives who is to hear the figures; an empty `bind` serves nothing.

    Raises:
        UsageError: `bind` is no address on loopback, or the port is taken.
    """
    if not bind:
        yield None
        return
    host, _ = split_bind(bind)
    if not is_loopback(host):
        raise UsageError(
            f"{SETTING}={bind}: the console has no authentication, so it listens on loopback only: "
            "write 127.0.0.1:PORT, and reach it by kubectl port-forward"
        )
    listener = Listener(now)
    app = Console(listener, now=now, jaeger_url=jaeger_url).application()
    async with listening(app, bind, what="the console", setting=SETTING):
        yield listener


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own: `127.0.0.1`, `::1`, `localhost`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether a Host field names this machine: a page of another name that resolves to it (DNS rebinding) does not."""
    try:
        return urlsplit(f"//{host}").hostname in LOCAL
    except ValueError:
        return False


@web.middleware
async def _guarded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if not is_local(request.headers.get("Host", "")):
        return web.Response(
            status=421,
            text="The console responds to localhost and 127.0.0.1 alone: open it by that name\n",
            headers=HEADERS,
        )
    try:
        response = await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.reason}\n", headers=HEADERS)
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")


def _asset(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    content = files("paceline_operator.console").joinpath("assets", name).read_bytes()

    async def asset(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return asset
