"""Counts with prometheus_client as applications do: metrics made at import, their values from requests."""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

orders = Counter("shop_orders", "Orders.", ["kind"])
seconds = Histogram("shop_order_seconds", "Time of an order.", buckets=(0.1, 1))
open_baskets = Gauge("shop_open_baskets", "Open baskets.", multiprocess_mode="livesum")
largest = Gauge("shop_largest_order", "Largest order.", multiprocess_mode="max")
clash = Counter("paceline_worker_restarts", "A name that is taken.")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/order":
        orders.labels("web").inc()
        seconds.observe(0.5)
        open_baskets.set(3)
        largest.set(70)
        clash.inc(1000)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"ok"})
