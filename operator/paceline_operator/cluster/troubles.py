"""What the cluster says is wrong with a pod, and which ConfigMaps it mounts. Pure: JSON in, frozen values out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from paceline_operator.ports import Trouble

_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_LONGEST: Final = 200


def trouble_of(item: Mapping[str, Any]) -> Trouble | None:
    """Pending, or with a container that keeps failing; None of a pod that runs."""
    status = item.get("status", {})
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _STARTING:
            return Trouble(str(waiting["reason"]), _why_waiting(one))
    if status.get("phase") != "Pending":
        return None
    unscheduled = (one for one in status.get("conditions", ()) if one["type"] == "PodScheduled")
    messages = (str(one["message"]) for one in unscheduled if one["status"] == "False" and one.get("message"))
    return Trouble("Pending", next(messages, "its containers have not started")[:_LONGEST])


def _why_waiting(status: Mapping[str, Any]) -> str:
    """Without the cluster's own sentence, which counts seconds: a status would be written for each of them."""
    ended = (status.get("lastState") or {}).get("terminated") or {}
    last = f"; it last ended with {ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}" if ended else ""
    return f"container {status['name']} does not run{last}"


def config_maps_of(item: Mapping[str, Any], container: str | None) -> tuple[str, ...] | None:
    """Names of the ConfigMaps that the container mounts as folders; None where no container is known."""
    every = (*item["spec"].get("containers", ()), *item["spec"].get("initContainers", ()))
    mounted = {name for each in every for name in _mounted(each, container)}
    if container is None:
        return None
    volumes = (volume for volume in item["spec"].get("volumes", ()) if volume["name"] in mounted)
    return tuple(sorted({name for volume in volumes for name in _names(volume)}))


def _mounted(each: Mapping[str, Any], container: str | None) -> Iterator[str]:
    """A file that is mounted by `subPath` never changes: it is as good as not there."""
    if each["name"] == container:
        yield from (mount["name"] for mount in each.get("volumeMounts", ()) if not mount.get("subPath"))


def _names(volume: Mapping[str, Any]) -> Iterator[str]:
    sources = [volume, *(volume.get("projected") or {}).get("sources", ())]
    yield from (source["configMap"]["name"] for source in sources if (source.get("configMap") or {}).get("name"))
