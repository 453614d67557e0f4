"""Addresses that an application is served at, as `--bind` and PACELINE_BIND write them: several, with commas."""

import os
import re
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from paceline.errors import UsageError
from paceline.serve.addresses import check_free, parse_address

_PORT_ALONE: Final = re.compile(r"\d+")
_LONGEST_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port of a host; `::` listens on IPv4, too, unless another address has IPv4 on that port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Unix:
    """A path; one that begins with `@` has no file (Linux's abstract names)."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def address(self) -> str:
        """As the kernel takes it."""
        return f"\0{self.path[1:]}" if self.path.startswith("@") else self.path

    @property
    def file(self) -> Path | None:
        """None of a name without a file."""
        return None if self.path.startswith("@") else Path(self.path)


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that whoever started us has opened: theirs, and it outlives us."""

    number: int

    def __str__(self) -> str:
        return f"fd://{self.number}"


Bind: TypeAlias = Tcp | Unix | Inherited


def parse_binds(text: str, *, option: str) -> tuple[Bind, ...]:
    """All addresses.

    Raises:
        UsageError: names the option and the address that is wrong, or that there is none.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{option} {text!r} is wrong; write HOST:PORT, for instance 127.0.0.1:8000")
    binds = tuple(_parse(part, option) for part in parts)
    for bind in binds:
        if binds.count(bind) > 1:
            raise UsageError(f"{option} names {bind} twice")
    return binds


def _parse(text: str, option: str) -> Bind:
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:").removeprefix("//"), option)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not (number.isascii() and number.isdigit()):
            raise UsageError(f"{option} {text!r} is wrong: {number!r} is no file descriptor")
        return Inherited(int(number))
    rest = text.removeprefix("tcp://")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        if _PORT_ALONE.fullmatch(rest):
            raise UsageError(f"{option} {text!r} is wrong; write HOST:PORT, for instance :{rest} for all addresses")
        host, port = rest, "8000"  # as gunicorn
    if ":" in host and not host.startswith("["):
        raise UsageError(f"{option} {text!r} is wrong: an IPv6 address stands in brackets, such as [::1]:8000")
    return Tcp(*parse_address(f"{host}:{port}", option=option))


def _unix(path: str, option: str) -> Unix:
    if not path or path == "@":
        raise UsageError(f"{option} unix: needs a path, for instance unix:/run/shop/shop.sock")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise UsageError(f"{option} unix:{path} is too long for the kernel: {_LONGEST_PATH} bytes at most")
    return Unix(path)


def check_binds(binds: Sequence[Bind], *, option: str) -> None:
    """Raises UsageError if nothing could listen on one of them now."""
    for bind in binds:
        match bind:
            case Tcp(host, port):
                check_free((host, port), option=option)
            case Unix():
                _check_path(bind, option)
            case Inherited(number):
                _check_inherited(number, option)


def _check_path(bind: Unix, option: str) -> None:
    if (wrong := _somebody_listens(bind) or _not_makeable(bind)) is not None:
        raise UsageError(f"cannot listen on {bind}: {wrong}; choose another with {option}")


def _somebody_listens(bind: Unix) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(bind.address)
        except (ConnectionRefusedError, FileNotFoundError):  # nobody is there: a path that is left is replaced
            return None
        except (BlockingIOError, TimeoutError):  # as many wait as may
            pass
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return "another server does"


def _not_makeable(bind: Unix) -> str | None:
    if bind.file is None:
        return None
    try:
        if not stat.S_ISSOCK(bind.file.stat().st_mode):
            return "the path is there and is no socket"
    except FileNotFoundError:
        pass
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not os.access(bind.file.absolute().parent, os.W_OK | os.X_OK):
        return "its folder is not there or not writable"
    return None


def _check_inherited(number: int, option: str) -> None:
    try:
        with socket.socket(fileno=os.dup(number)) as inherited:
            kind, family = inherited.type, inherited.family
    except OSError as error:
        raise UsageError(
            f"{option} fd://{number} is no socket that this process was given: {error.strerror}"
        ) from error
    if kind != socket.SOCK_STREAM or family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        raise UsageError(f"{option} fd://{number} is no stream socket; HTTP needs TCP or a unix socket")
