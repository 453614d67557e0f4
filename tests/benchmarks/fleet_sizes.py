"""`sizes`: the operator as a process, over simulated pods on a real API server, fleet by fleet.

Needs `KUBEBUILDER_ASSETS`, and is left out without. SIZES="1000x100,200x20" chooses pods × policies, SECONDS the
interval of the policies. CPU and memory are those of the operator's process, API calls what the API server counted of
the kinds that it reads and writes. Creating the fleet is not measured.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from envtest import EnvtestServer, envtest
from operator_process import OperatorUnderTest

from tests.benchmarks.effort import Effort
from tests.benchmarks.fleet_objects import NAMESPACE, create_bystanders, create_policies, create_workloads
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores
from tests.benchmarks.simulated_pods import allow_many_files

BENCH: Final = "sizes"
SIZES: Final = "10x1,200x20,1000x100"
SECONDS: Final = 20.0
BYSTANDERS: Final = 0
PORT: Final = 9090
INTERVALS: Final = 2
"""How many are measured, after the first change has been carried out."""
FULL_INTERVAL: Final = 60.0
"""That of a policy which names none; what is measured in shorter ones is told for it."""
LONGEST_SECONDS: Final = 180.0
MIB: Final = 1 << 20
CRDS: Final = Path(__file__).parents[2] / "operator" / "paceline_operator" / "crd"
KINDS: Final = frozenset(
    [
        "tuningpolicies",
        "connectionbudgets",
        "tuningcheckpoints",
        "configmaps",
        "pods",
        "deployments",
        "statefulsets",
        "replicasets",
        "horizontalpodautoscalers",
        "events",
        "namespaces",
    ]
)


@dataclass(frozen=True)
class Size:
    """Of a fleet."""

    pods: int
    policies: int

    def __str__(self) -> str:
        return f"{self.pods:,} pods, {self.policies:,} policies"


@dataclass(frozen=True)
class Figures:
    """What the operator took."""

    acks_seconds: float
    pass_seconds: float
    """CPU of one pass over every policy."""
    most_mib: float
    calls_an_hour: float


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    if "KUBEBUILDER_ASSETS" not in os.environ:
        print(f"{BENCH}: left out, KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver", file=sys.stderr)
        return
    allow_many_files()
    seconds = float(os.environ.get("SECONDS", SECONDS))
    for text in os.environ.get("SIZES", SIZES).split(","):
        size = Size(*(int(part) for part in text.split("x")))
        print(f"{BENCH}: {size}", file=sys.stderr)
        figures = measure(size, seconds)
        memory = 128 if size.pods <= 200 else 512
        yield _row(f"CPU s a pass, {size}", figures.pass_seconds, FULL_INTERVAL)
        yield _row(f"MiB at most, {size}", figures.most_mib, memory)
        yield Row(BENCH, "", f"API calls an hour at 60 s, {size}", figures.calls_an_hour, 0, 0)
        yield Row(BENCH, "", f"s from apply to all acks, {size}", figures.acks_seconds, 0, 0)


def _row(metric: str, ours: float, limit: float) -> Row:
    return Row(BENCH, "the limit", metric, ours, limit, limit / ours, 1.0)


def measure(size: Size, interval: float) -> Figures:
    """One fleet, from nothing to its figures. Raises TimeoutError where the pods do not apply the first change."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(envtest(folder))
        _install(server)
        kubeconfig = server.kubeconfig()
        bystanders = int(os.environ.get("BYSTANDERS", BYSTANDERS))
        asyncio.run(create_bystanders(kubeconfig, bystanders))
        pods = asyncio.run(create_workloads(kubeconfig, size.pods, size.policies, PORT))
        (folder / "pods.json").write_text(json.dumps(pods))
        stack.enter_context(_simulated(folder / "pods.json", kubeconfig))
        quiet = {"PACELINE_OPERATOR_LOG_FORMAT": "json"}
        operator = stack.enter_context(OperatorUnderTest(kubeconfig, folder, **quiet))
        operator.wait_until_healthy()
        began = time.monotonic()
        asyncio.run(create_policies(kubeconfig, size.policies, interval))
        _until_applied(server, size.pods)
        acks = time.monotonic() - began
        time.sleep(interval)
        return _steady(server, operator.process.pid, interval, acks)


def _steady(server: EnvtestServer, pid: int, interval: float, acks: float) -> Figures:
    calls, cpu, began = _calls(server), _cpu_seconds(pid), time.monotonic()
    time.sleep(INTERVALS * interval)
    took = time.monotonic() - began
    passes = took / interval
    return Figures(
        acks_seconds=acks,
        pass_seconds=(_cpu_seconds(pid) - cpu) / passes,
        most_mib=_most_bytes(pid) / MIB,
        calls_an_hour=(_calls(server) - calls) / passes * 3600 / FULL_INTERVAL,
    )


def _install(server: EnvtestServer) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())
        server.apply(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}", definition
        )
        server.wait_for(f"/apis/paceline.dev/v1alpha1/{definition['spec']['names']['plural']}")
    server.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})


@contextmanager
def _simulated(pods: Path, kubeconfig: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.benchmarks.simulated_pods", str(pods), str(PORT)]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None or process.stdout.readline() != b"ready\n":
                raise RuntimeError("the simulated pods did not start")
            yield
        finally:
            process.terminate()


def _until_applied(server: EnvtestServer, pods: int) -> None:
    """Until the statuses say that every pod runs the first change."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while (applied := _applied(server)) < pods:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{applied} of {pods} pods run the first change after {LONGEST_SECONDS:g} s")
        time.sleep(0.5)


def _applied(server: EnvtestServer) -> int:
    found = server.get(f"/apis/paceline.dev/v1alpha1/namespaces/{NAMESPACE}/tuningpolicies")["items"]
    statuses: list[dict[str, Any]] = [each.get("status") or {} for each in found]
    return sum(
        status["pods"]["applied"] for status in statuses if "pods" in status and status["tuning"].get("generation")
    )


def _calls(server: EnvtestServer) -> int:
    """Requests so far to what the operator reads and writes; those of the API server to itself are of other kinds."""
    return server.requests_of(KINDS)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _most_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
