"""Workloads that know nothing of Paceline, as other people's charts have them."""

from typing import Any

import yaml

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: store}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - {name: proxy, image: "envoy:1"}
        - name: app
          image: shop:1
          command: [gunicorn, -k, uvicorn_worker.UvicornWorker, "shop.main:app"]
          env: [{name: DATABASE_URL, value: "postgresql://db/shop"}]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: http}, periodSeconds: 3}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
"""


def foreign(kind: str = "Deployment", **container: Any) -> dict[str, Any]:
    """A fresh one; `container` replaces fields of the container `app`, None takes one away."""
    manifest: dict[str, Any] = yaml.safe_load(DEPLOYMENT)
    manifest["kind"] = kind
    if kind == "Rollout":
        manifest["apiVersion"] = "argoproj.io/v1alpha1"
    app = manifest["spec"]["template"]["spec"]["containers"][1]
    app |= container
    for name in [name for name, value in app.items() if value is None]:
        del app[name]
    return manifest


def app_of(manifest: Any) -> dict[str, Any]:
    """Its container `app`."""
    found: dict[str, Any] = next(
        each for each in manifest["spec"]["template"]["spec"]["containers"] if each["name"] == "app"
    )
    return found
