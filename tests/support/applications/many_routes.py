"""Thirteen routes, two versions of one API mounted side by side, and a route that fails."""

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


def _add(number: int) -> None:
    @app.get(f"/route{number}/{{id}}")
    async def route(id: int) -> int:
        return id


for each in range(13):
    _add(each)


def version() -> FastAPI:
    """One version of the API that is mounted twice."""
    mounted = FastAPI(openapi_url=None)

    @mounted.get("/users/{id}")
    async def user(id: int) -> int:
        return id

    return mounted


app.mount("/v1", version())
app.mount("/v2", version())
