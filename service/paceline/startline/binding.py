"""Where to listen: gunicorn says it in one word, uvicorn in host and port, and several sources may each say a part."""

from collections.abc import Sequence
from typing import Final

from paceline.errors import UsageError
from paceline.startline.arguments import Given
from paceline.startline.sources import Source

BIND: Final = "PACELINE_BIND"
_PARTS: Final = frozenset({"host", "port", "uds", "fd"})
_DEFAULT: Final = {"host": "127.0.0.1", "port": "8000"}


def bind_of(sources: Sequence[Source]) -> tuple[str, str] | None:
    """The addresses, separated by commas, and how they were written; None where no source says anything.

    The first source that names an address or a part of one decides which form it is; the other half of host and port
    may come from a later one. Worked example: `--port 9000` on the command line, UVICORN_HOST=0.0.0.0 or
    PACELINE_BIND=0.0.0.0:8000 → `0.0.0.0:9000`.

    Raises:
        UsageError: one source says it in two ways that do not go together, or a port is no number.
    """
    for number, source in enumerate(sources):
        said = [each for each in source.given if each.row.becomes == BIND or each.row.becomes in _PARTS]
        if said:
            return _form(said, sources[number:])
    return None


def _form(said: Sequence[Given], sources: Sequence[Source]) -> tuple[str, str]:
    whole = [each for each in said if each.row.becomes == BIND]
    parts = {each.row.becomes: each for each in said if each.row.becomes in _PARTS}
    others = parts.keys() - {"host", "port"}
    if bool(whole) + len(others) + bool(parts.keys() & {"host", "port"}) > 1 and not _only_defaults(parts, whole):
        names = " and ".join(dict.fromkeys(each.written for each in said))
        raise UsageError(f"{names} do not go together; name each address with --bind")
    if whole:
        return ",".join(each.value for each in whole), whole[0].written
    if "uds" in parts:
        return f"unix:{parts['uds'].value}", parts["uds"].written
    if "fd" in parts:
        return f"fd://{parts['fd'].value}", parts["fd"].written
    return _host_and_port(sources), " and ".join(dict.fromkeys(parts[part].written for part in sorted(parts)))


def _only_defaults(parts: dict[str, Given], whole: Sequence[Given]) -> bool:
    """uvicorn lets --uds and --fd win over --host and --port."""
    return not whole and len(parts.keys() - {"host", "port"}) == 1


def _host_and_port(sources: Sequence[Source]) -> str:
    found = dict(_DEFAULT)
    for source in reversed(sources):
        for each in source.given:
            if each.row.becomes == BIND:
                found |= _halves(each.value)
            elif each.row.becomes in found:
                found[each.row.becomes] = each.value
                if each.row.becomes == "port" and not (each.value.isascii() and each.value.isdigit()):
                    raise UsageError(f"{each.written} is wrong: {each.value!r} is no port number")
    host = found["host"]
    return f"[{host}]:{found['port']}" if ":" in host and not host.startswith("[") else f"{host}:{found['port']}"


def _halves(bind: str) -> dict[str, str]:
    """Of a single port of a host, which a later source has named in one word."""
    rest = bind.removeprefix("tcp://")
    if not rest or "," in rest or "/" in rest or rest.startswith("unix:"):
        return {}
    host, colon, port = rest.rpartition(":")
    if rest.endswith("]") or (not colon and not rest.isdigit()):
        return {"host": rest}
    return {"host": "0.0.0.0" if host in {"", "*"} else host, "port": port} if colon and port.isdigit() else {}
