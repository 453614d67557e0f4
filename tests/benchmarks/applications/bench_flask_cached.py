"""Flask with a blocking Redis client in front of the same body."""

import json
import os
from typing import Any

from flask import Flask, Response
from redis import Redis
from report import REPORT

redis = Redis.from_url(os.environ["REDIS_URL"])
app = Flask(__name__)


@app.get("/")
def ready() -> dict[str, str]:
    return {}


@app.get("/expensive-data")
def expensive_data() -> Response:
    cached: Any = redis.get("bench:report")
    if cached is None:
        cached = json.dumps(REPORT).encode()
        redis.setex("bench:report", 300, cached)
    return Response(cached, mimetype="application/json")
