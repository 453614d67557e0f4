"""The settings that the installed gunicorn and uvicorn have, with their options: what `table` must know."""

import inspect
from collections.abc import Mapping

Settings = Mapping[str, tuple[str, ...]]


def gunicorn_settings() -> Settings:
    """By name, in gunicorn's order."""
    from gunicorn.config import KNOWN_SETTINGS

    return {each.name: tuple(each.cli or ()) for each in KNOWN_SETTINGS}


def uvicorn_settings() -> Settings:
    """By name: of its command line, and what only `uvicorn.run` takes."""
    import uvicorn
    from uvicorn.main import main

    found = {str(each.name): (*each.opts, *each.secondary_opts) for each in main.params}
    found["app"] = ()
    return found | {name: () for name in inspect.signature(uvicorn.run).parameters if name not in found}
