"""The kopf edge: translates an event into one call. Nothing is decided, read or written here.

Only stateless handlers: no finalizer on a policy, no annotations, and a deleted policy never waits for an operator.
"""

from collections.abc import Mapping
from typing import Any

import kopf

from paceline_operator.crd.connectionbudget import PLURAL as BUDGETS
from paceline_operator.crd.v1alpha1 import GROUP, PLURAL, VERSION
from paceline_operator.wiring import OperatorProcess, Unhealthy


@kopf.on.login()
async def log_in(memo: kopf.Memo, **_: Any) -> kopf.ConnectionInfo:
    process: OperatorProcess = memo.process
    return kopf.ConnectionInfo(**await process.credentials())


@kopf.index(GROUP, VERSION, PLURAL)
async def policies(body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    # kopf calls this for every policy that there is before any handler below: a policy's first pass knows its rivals.
    process: OperatorProcess = memo.process
    process.policy_seen(body)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def policy(type: str, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    process: OperatorProcess = memo.process
    process.policy_event(body, deleted=type == "DELETED")


@kopf.on.event(GROUP, VERSION, BUDGETS)
async def budget(type: str, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    process: OperatorProcess = memo.process
    process.budget_event(body, deleted=type == "DELETED")


@kopf.on.probe(id="loop")
async def probe(memo: kopf.Memo, **_: Any) -> Mapping[str, float]:
    process: OperatorProcess = memo.process
    try:
        return process.check_health()
    except Unhealthy as error:
        # Any other error would make kopf retry for a minute, and kubelet's probe hang as long.
        raise kopf.PermanentError(str(error)) from error


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    process: OperatorProcess = memo.process
    await process.stop()
