"""What all middleware has in common: an ASGI application that hands most requests on to another one."""

from abc import abstractmethod
from collections.abc import Awaitable

from paceline.asgi import Receive, Scope, Send


class Middleware:
    """A subclass says in `handle` what becomes of a request."""

    __slots__ = ()

    @abstractmethod
    def handle(self, scope: Scope, receive: Receive, send: Send, /) -> Awaitable[None]:
        """Handles one request. As a rule no coroutine function: it returns the awaitable of the application, which
        spares a frame."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For servers, which take an application that is no coroutine function for one of ASGI 2."""
        await self.handle(scope, receive, send)
