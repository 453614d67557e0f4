"""Pods at protocol level, all of a fleet in one process: HTTP `/state` on addresses of loopback, documents followed.

python -m tests.benchmarks.simulated_pods FILE PORT: FILE maps each pod's address to its uid and the name of its
ConfigMap. A watch on ConfigMaps, by the kubeconfig of KUBECONFIG, stands for kubelet.
"""

import asyncio
import copy
import json
import random
import resource
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from paceline_operator.cluster.api_server import ApiServer, load_configuration
from paceline_operator.crd.document import digest

from tests.benchmarks.thousand_pods import DIFFERENT, RUNNING, TUNING, History

WINDOWS: Final = 40
"""Steps that the counters of a pod can make; a fleet is measured for fewer."""
STEP_SECONDS: Final = 10.0
UNTUNED: Final = {**TUNING, "generation": 0}


class Pods:
    """What every pod answers now."""

    def __init__(self, pods: Mapping[str, tuple[str, str]]) -> None:
        """By address: uid, and the name of the ConfigMap that the pod has mounted."""
        self._pods = pods
        self._documents: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._began = time.monotonic()
        histories = [History(random.Random(number)) for number in range(DIFFERENT)]
        self._states = [
            [copy.deepcopy(history.state(1000.0 + step * STEP_SECONDS)) for step in range(WINDOWS)]
            for history in histories
        ]

    @property
    def addresses(self) -> Collection[str]:
        """On loopback."""
        return self._pods

    def adopt(self, name: str, content: str) -> None:
        """A document as kubelet would bring it."""
        self._documents[name] = orjson.loads(content), digest(content.encode())

    def state(self, address: str) -> bytes:
        """Of one pod; counters go on by time."""
        uid, name = self._pods[address]
        passed = time.monotonic() - self._began
        history = self._states[int(address.rpartition(".")[2]) % DIFFERENT]
        state = dict(history[min(int(passed / STEP_SECONDS), WINDOWS - 1)])
        state |= {"pod": {"name": uid, "uid": uid}, "uptimeSeconds": 1000.0 + passed, "tuning": UNTUNED}
        adopted = self._documents.get(name)
        if adopted is not None:
            state |= _carried_out(state, *adopted)
        return orjson.dumps(state)


def _carried_out(state: Mapping[str, Any], document: Mapping[str, Any], written: str) -> dict[str, Any]:
    """The document's values are in force at once."""
    chosen = document["values"]
    values = {
        **RUNNING,
        **chosen,
        "pools": {**RUNNING["pools"], **chosen.get("pools", {})},
        "caches": {**RUNNING["caches"], **chosen.get("caches", {})},
    }
    pools = {
        name: {**pool, "limit": values["pools"][name], "open": values["pools"][name]}
        for name, pool in state["pools"].items()
    }
    tuning = {**state["tuning"], "generation": document["generation"], "digest": written}
    return {"values": values, "pools": pools, "tuning": tuning}


class Connection(asyncio.Protocol):
    """One connection of the operator's: kept alive, one request at a time, no bodies."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, _, self._received = self._received.partition(b"\r\n\r\n")
            body = self._pods.state(self._address)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)


async def follow(server: ApiServer, pods: Pods) -> None:
    """Every ConfigMap of the operator's, from the first on."""
    query = {"watch": "true", "labelSelector": "app.kubernetes.io/managed-by=paceline", "timeoutSeconds": "3600"}
    async for event in server.events("/api/v1/configmaps", 3600, **query):
        item = event["object"]
        if event["type"] in {"ADDED", "MODIFIED"}:
            pods.adopt(item["metadata"]["name"], item["data"]["tuning.json"])


def allow_many_files() -> None:
    """As many as the machine lets this process and its children have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(path: Path, port: int) -> None:
    """Until the process is ended."""
    pods = Pods({address: (uid, name) for address, (uid, name) in json.loads(path.read_text()).items()})
    server = ApiServer(await load_configuration(), deadline_seconds=30)
    allow_many_files()  # a socket for each pod, so that no other network than loopback can ask
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(pods), list(pods.addresses), port)
    async with listening:
        print("ready", flush=True)
        await follow(server, pods)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
