"""Applications that configure logging each in a way of its own; LOG_FILE names the file of those that have one."""

import logging
import logging.config
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

shop = logging.getLogger("shop")


def _app(lifespan: object = None) -> FastAPI:
    made = FastAPI(openapi_url=None, lifespan=lifespan)  # type: ignore[arg-type]

    @made.get("/say")
    async def say() -> str:
        shop.info("said info")
        shop.warning("said warning")
        return "said"

    @made.get("/surrogate")
    async def surrogate() -> str:
        shop.warning("\ud800", extra={"odd": 10**5000, "again": "\udfff"})
        return "said"

    @made.get("/fail")
    async def fail() -> str:
        raise LookupError("nothing here")

    return made


def without() -> FastAPI:
    return _app()


def dict_config() -> FastAPI:
    """As a production application has it: WARNING at the root, one handler on stderr, existing loggers disabled."""
    handler = {"class": "logging.StreamHandler", "formatter": "theirs"}
    formatter = {"format": "theirs %(levelname)s %(name)s %(message)s"}
    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"theirs": formatter},
            "handlers": {"stderr": handler},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
        }
    )
    shop.disabled = False
    return _app()


def basic_config() -> FastAPI:
    logging.basicConfig(level=logging.DEBUG, format="theirs %(levelname)s %(name)s %(message)s")
    return _app()


def file_in_lifespan() -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        handler = logging.FileHandler(os.environ["LOG_FILE"])
        handler.setFormatter(logging.Formatter("theirs %(levelname)s %(name)s %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        yield

    return _app(lifespan)


def litestar() -> object:
    from litestar import Litestar, get

    @get("/say")
    async def say() -> str:
        logging.getLogger("litestar").info("said info")
        logging.getLogger("litestar").warning("said warning")
        return "said"

    return Litestar([say], openapi_config=None)


if chosen := os.environ.get("LOGGING_APP"):
    app = globals()[chosen]()
