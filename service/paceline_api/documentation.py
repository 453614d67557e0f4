"""What the OpenAPI document says beside the routes' own words."""

from typing import Final

from fastapi.routing import APIRoute

TAGS: Final = [
    {"name": "products", "description": "Rows from PostgreSQL by plain SQL, straight to bytes: a hot path."},
    {"name": "items", "description": "Rows by SQLAlchemy's ORM, one transaction a request."},
    {"name": "users", "description": "Another service, asked with a deadline and retries."},
    {"name": "dashboard", "description": "Three services, asked at the same time; a part may be missing."},
    {"name": "documents", "description": "Documents in MongoDB."},
    {"name": "expensive data", "description": "A whole response, cached in memory and in Redis."},
    {"name": "cache", "description": "Bytes in Redis."},
    {"name": "accounts", "description": "Signing up, with a mail that cannot be lost; signing in and out."},
    {"name": "rate limit", "description": "So many requests a minute for each client address."},
    {"name": "process", "description": "CPU work in processes of its own."},
    {"name": "health", "description": "For load balancers."},
]
"""In the order of the page."""


def operation_id(route: APIRoute) -> str:
    """The function's name: generated clients call their methods so."""
    return route.name
