"""The front page and the liveness probe. Neither touches a database."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, PlainTextResponse

router = APIRouter()

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Paceline reference API</title>
<style>
  body { font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
  @media (prefers-color-scheme: dark) { body { background: #16181d; color: #e6e6e6 } a { color: #8ab4f8 } }
  li { margin: .4rem 0 } code { font-size: .95em }
</style>
<h1>Paceline reference API</h1>
<p>How a service looks whose workers, pools and caches are tuned while it runs.</p>
<ul>
  <li><a href="products?limit=20"><code>GET /products</code></a>: rows from PostgreSQL, page by page
  <li><code>GET, POST /items</code>: items by SQLAlchemy
  <li><code>GET /users/{id}</code>: another service, with a deadline and retries
  <li><a href="dashboard"><code>GET /dashboard</code></a>: three services at the same time
  <li><code>GET, POST /documents</code>: documents in MongoDB
  <li><a href="expensive-data"><code>GET /expensive-data</code></a>: an expensive query behind a two-tier cache
  <li><code>GET, PUT /cache/{key}</code>: bytes in Redis
  <li><code>POST /process</code>: CPU work in a process pool
</ul>
<p><a href="docs">Interactive documentation</a> · <a href="redoc">reference</a> · <a href="openapi.json">OpenAPI</a></p>
"""


@router.get("/", include_in_schema=False)
async def index() -> HTMLResponse:
    return HTMLResponse(_PAGE)


@router.get("/healthz", tags=["health"], response_class=PlainTextResponse)
async def healthz() -> PlainTextResponse:
    """The process responds. Says nothing about databases: a restart of this process would not mend them."""
    return PlainTextResponse("ok")
