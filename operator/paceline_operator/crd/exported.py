"""The values in force, as what a person keeps in Git: a pinned policy, variables of a container, values of our chart.

Pure: a policy as read in, text or objects out. What no variable can say is said in a comment, with the code for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import yaml

from paceline_operator.core.model.durations import format_duration
from paceline_operator.errors import UsageError
from paceline_operator.ports import PolicyResource

Format = Literal["policy", "env", "helm"]
_API_VERSION: Final = "paceline.dev/v1alpha1"


def exported(policy: PolicyResource, form: Format) -> str:
    """The text of one form.

    Raises:
        UsageError: nothing is known to be in force yet.
    """
    values = (policy.status.get("tuning") or {}).get("values") or {}
    if not values:
        raise UsageError(f"{policy.key}: no pod has said yet what it runs; see `kubectl describe tp {policy.key.name}`")
    match form:
        case "policy":
            return _yaml(pinned_policy(policy, values))
        case "env":
            return "".join(f"{line}\n" for line in (*variables(values), *_comments(values)))
        case "helm":
            chart = {"service": {"env": dict(line.split("=", 1) for line in variables(values))}}
            return (_yaml(chart) if chart["service"]["env"] else "") + "".join(f"{c}\n" for c in _comments(values))


def pinned_policy(policy: PolicyResource, values: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with each range replaced by the value in force; all else, its mode included, as it is written."""
    spec = dict(policy.spec)
    if "workers" in spec and "workers" in values:
        spec["workers"] = {"value": values["workers"]}
    for section, pin in (("pools", _pinned_pool), ("caches", _pinned_cache)):
        if section in spec:
            found: Mapping[str, Any] = values.get(section) or {}
            spec[section] = [pin(entry, found.get(entry["name"])) for entry in spec[section]]
    metadata = {"name": policy.key.name, "namespace": policy.key.namespace}
    return {"apiVersion": _API_VERSION, "kind": "TuningPolicy", "metadata": metadata, "spec": spec}


def variables(values: Mapping[str, Any]) -> Iterator[str]:
    """`NAME=VALUE` of each value that a variable can give a pod to start with."""
    if "workers" in values:
        yield f"PACELINE_WORKERS={values['workers']}"


def _comments(values: Mapping[str, Any]) -> Sequence[str]:
    pools = (f"# tune.pool(…, name={name!r}, limit={size})" for name, size in (values.get("pools") or {}).items())
    caches = (
        f"# tune.cache(name={name!r}, ttl={entry['ttlSeconds']:g})"
        for name, entry in (values.get("caches") or {}).items()
    )
    told = [*pools, *caches]
    return ["# No variable has these: the application's own code, or a pinned policy, does.", *told] if told else []


def _pinned_pool(entry: Mapping[str, Any], value: int | None) -> Mapping[str, Any]:
    if value is None or not {"min", "max"} & entry.keys():
        return entry  # a pool that is only counted stays so
    kept = {name: given for name, given in entry.items() if name not in ("min", "max")}
    return {"name": entry["name"], "value": value, **kept}


def _pinned_cache(entry: Mapping[str, Any], value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if value is None:
        return entry
    return {**entry, "ttl": {"value": format_duration(timedelta(seconds=value["ttlSeconds"]))}}


def _yaml(item: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(item), sort_keys=False, allow_unicode=True, width=120)
    return text
