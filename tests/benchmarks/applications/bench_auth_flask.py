"""A token check with a user lookup in Flask and psycopg2: the blocking way.

Each thread keeps its connection, or with BENCH_CONNECT=each every request opens one, as many applications do.
"""

import os
import threading
from typing import Any

import jwt
import psycopg2
from flask import Flask, abort, request

SECRET = os.environ["BENCH_TOKEN_SECRET"]
CONNECT_EACH = os.environ.get("BENCH_CONNECT") == "each"
kept = threading.local()
app = Flask(__name__)


@app.get("/")
def ready() -> dict[str, str]:
    return {}


@app.get("/auth/me")
def me() -> dict[str, Any]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        abort(401)
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError:
        abort(401)
    row = _find(int(claims["sub"]))
    if row is None:
        abort(401)
    return {"id": row[0], "email": row[1]}


def _find(user: int) -> Any:
    connection = _connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, email FROM bench_users WHERE id = %s", (user,))
        row = cursor.fetchone()
    if CONNECT_EACH:
        connection.close()
    return row


def _connection() -> Any:
    if CONNECT_EACH:
        return psycopg2.connect(os.environ["DATABASE_URL"])
    if not hasattr(kept, "connection"):
        kept.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        kept.connection.autocommit = True
    return kept.connection
