"""What an application counts itself is right at the management port, however many workers there are and were."""

import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from serving import Served, StartPod, eventually


def samples(pod: Served) -> dict[str, float]:
    status, text = pod.get("/metrics", pod.management_port)
    assert status == 200
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_of_all_workers_are_added_up_and_never_go_back(start_pod: StartPod, tmp_path: Path) -> None:
    document = tmp_path / "tuning.json"
    pod = start_pod("counting:app", workers=2, tuning_file=document)
    eventually(lambda: len(pod.ready_workers()) == 2, "both workers are ready")
    orders = 0

    def both_have_counted() -> bool:
        nonlocal orders
        orders += pod.get("/order")[0] == 200
        return len(list(pod.run.metrics.glob("gauge_livesum_*.db"))) == 3  # the arbiter has loaded the metrics too

    eventually(both_have_counted, "both workers have counted")
    before = samples(pod)
    assert before["shop_orders_total,kind=web"] == orders
    assert (before["shop_order_seconds_count"], before["shop_order_seconds_sum"]) == (orders, orders / 2)
    assert (before["shop_order_seconds_bucket,le=0.1"], before["shop_order_seconds_bucket,le=1.0"]) == (0, orders)
    assert (before["shop_open_baskets"], before["shop_largest_order"]) == (6, 70)
    assert before["paceline_worker_restarts_total"] == 0

    document.write_text(json.dumps(to_one_worker()))
    eventually(lambda: pod.count() == 1, "one worker is left")
    after = eventually(lambda: (found := samples(pod))["shop_open_baskets"] == 3 and found, "one worker's baskets")
    counted = {name: value for name, value in before.items() if name.startswith("shop_order")}
    assert {name: after[name] for name in counted} == counted
    assert after["shop_largest_order"] == 70
    assert len(list(pod.run.metrics.glob("counter_*.db"))) == 3  # arbiter, one worker, and what the other had counted


def to_one_worker() -> dict[str, Any]:
    return {"schema": "paceline.dev/tuning/v1", "generation": 1, "policy": "shop/api", "values": {"workers": 1}}


def test_it_can_be_left_to_the_application(start_pod: StartPod) -> None:
    pod = start_pod("counting:app", app_metrics=False)
    pod.get("/order")
    assert not [name for name in samples(pod) if name.startswith("shop_")]
