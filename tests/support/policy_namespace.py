"""A namespace on a bare API server as a user of Paceline sees it: one target, its policies, what became of them."""

import json
from typing import Any

from envtest import EnvtestServer, RefusedError


class PolicyNamespace:
    """One namespace as a user of Paceline sees it."""

    def __init__(self, server: EnvtestServer, name: str) -> None:
        self._server = server
        self.name = name

    def _path(self, group: str, resource: str, name: str = "") -> str:
        return f"/{group}/namespaces/{self.name}/{resource}{name and f'/{name}'}"

    def create_target(self, name: str = "api") -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": "api:1"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        path = self._path("apis/apps/v1", "deployments")
        self._server.create(path, {"metadata": {"name": name}, "spec": spec})
        # There is no controller here that would say so.
        self._server.merge(f"{path}/{name}/status", {"status": {"observedGeneration": 1}})

    def apply_policy(self, workers: int | tuple[int, int], name: str = "api", **metadata: Any) -> None:
        """`workers` is a value that is pinned, or the two bounds."""
        pinned = isinstance(workers, int)
        spec = {"workers": {"value": workers} if pinned else dict(zip(("min", "max"), workers, strict=True))}
        body = {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": name, **metadata},
            "spec": {"targetRef": {"name": "api"}, "mode": "Auto", "objective": {"p95": "45ms"}, **spec},
        }
        self._server.apply(self._path("apis/paceline.dev/v1alpha1", "tuningpolicies", name), body)

    def annotate(self, *, namespace: bool = False, **annotations: str | None) -> None:
        """Sets `paceline.dev/` annotations of the policy, or of the namespace; None removes one."""
        path = self._path("apis/paceline.dev/v1alpha1", "tuningpolicies", "api")
        named = {f"paceline.dev/{name}": value for name, value in annotations.items()}
        self._server.merge(
            f"/api/v1/namespaces/{self.name}" if namespace else path, {"metadata": {"annotations": named}}
        )

    def delete_policy(self, name: str = "api") -> None:
        self._server.delete(self._path("apis/paceline.dev/v1alpha1", "tuningpolicies", name))

    def policy(self, name: str = "api") -> dict[str, Any] | None:
        return self._get("apis/paceline.dev/v1alpha1", "tuningpolicies", name)

    def document(self) -> dict[str, Any]:
        """The tuning document; empty while there is none."""
        stored = self._get("api/v1", "configmaps", "api-tuning")
        return {} if stored is None else dict(json.loads(stored["data"]["tuning.json"]))

    def leave_a_trial(self, uid: str, workers: int) -> None:
        """As an operator that was killed after it had written the document and before the status."""
        document = {**self.document(), "overrides": {uid: {"workers": workers}}}
        path = self._path("api/v1", "configmaps", "api-tuning")
        self._server.merge(path, {"data": {"tuning.json": json.dumps(document)}})

    def workers(self) -> int | None:
        return self.document().get("values", {}).get("workers")

    def delete_document(self) -> None:
        self._server.delete(self._path("api/v1", "configmaps", "api-tuning"))

    def ready(self, name: str = "api") -> tuple[str, str] | None:
        """Status and reason of the condition Ready."""
        conditions = ((self.policy(name) or {}).get("status") or {}).get("conditions", ())
        return next(((one["status"], one["reason"]) for one in conditions if one["type"] == "Ready"), None)

    def known_generations(self) -> list[int]:
        """Whose values the status tells."""
        decisions = ((self.policy() or {}).get("status") or {}).get("decisions", ())
        return [one["generation"] for one in decisions if one.get("values")]

    def spec_generation(self) -> int:
        return int((self.policy() or {})["metadata"]["generation"])

    def observed_generation(self) -> int:
        """Of the spec that the status speaks about; 0 without one."""
        return int(((self.policy() or {}).get("status") or {}).get("observedGeneration", 0))

    def events(self) -> list[dict[str, Any]]:
        return list(self._server.get(self._path("apis/events.k8s.io/v1", "events"))["items"])

    def _get(self, group: str, resource: str, name: str) -> dict[str, Any] | None:
        try:
            return dict(self._server.get(self._path(group, resource, name)))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
