"""Tells systemd that the pod serves or stops (`Type=notify`); by default it hears the main process alone."""

from collections.abc import Callable, MutableMapping
from typing import Final

_SECONDS: Final = 1.0
"""For a datagram; systemd takes it at once unless it hangs itself."""


class ServiceManager:
    """Whoever started the pod; where that is not systemd, nobody is told."""

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        """`address`: of a socket of datagrams, with `@` in front where it is no path; empty for nobody."""
        self._address = address
        self._say = say
        self.waits_for_ready = bool(address)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], say: Callable[[str], None]) -> "ServiceManager":
        """Takes the address out of the environment: a child that used it would speak for the pod."""
        return cls(environment.pop("NOTIFY_SOCKET", ""), say)

    def ready(self) -> None:
        self.waits_for_ready = False
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        import socket  # here: most pods have no systemd, and this process stays small

        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
                telling.settimeout(_SECONDS)
                telling.sendto(message.encode(), name)
        except OSError as error:
            self._say(f"cannot tell systemd {message}: {error.strerror or error} ({self._address})")
