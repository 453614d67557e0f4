"""A spec of a ConnectionBudget that is right, and ways to get it wrong: the CRD and the parser must agree on them."""

from typing import Any

import pytest

SPEC: dict[str, Any] = {
    "maxConnections": 200,
    "reserved": 10,
    "endpoint": "Pooler",
    "pooler": {"clientConnections": 1000, "serverConnections": 100},
    "allocation": "WorstCase",
    "operatorClass": "batch",
    "allowedNamespaces": ["shop", "*"],
}

MISTAKES = [
    pytest.param({"maxConnections": None}, "maxConnections", id="no maximum"),
    pytest.param({"maxConnections": 0}, "greater than or equal to 1", id="a maximum of nothing"),
    pytest.param({"reserved": -1}, "greater than or equal to 0", id="a negative reserve"),
    pytest.param({"reserved": 200}, "leaves nothing of maxConnections", id="all reserved"),
    pytest.param({"pooler": None}, "endpoint Pooler needs pooler.clientConnections", id="a pooler without limits"),
    pytest.param({"endpoint": "Direct"}, "pooler is for endpoint Pooler", id="limits without a pooler"),
    pytest.param({"endpoint": "Proxy"}, "Pooler", id="an unknown endpoint"),
    pytest.param({"pooler": {"clientConnections": 5}}, "serverConnections", id="half a pooler"),
    pytest.param(
        {"pooler": {"clientConnections": 500, "serverConnections": 191}},
        "is more than maxConnections",
        id="a pooler that opens more than there is",
    ),
    pytest.param({"allocation": "Live"}, "Live is not there yet: write WorstCase", id="live grants"),
    pytest.param({"operatorClass": "Batch Jobs"}, "operatorClass", id="a class that no Lease can be named by"),
    pytest.param({"allocation": "Greedy"}, "WorstCase", id="an unknown allocation"),
    pytest.param({"allowedNamespaces": [""]}, "at least 1 char", id="a namespace without a name"),
]
"""Changed fields (None: removed), what both say about them."""


def changed(fields: dict[str, Any]) -> dict[str, Any]:
    """SPEC with some fields set or removed."""
    return {name: value for name, value in {**SPEC, **fields}.items() if value is not None}
