"""Images of the tree as it is now, in the test cluster: built once for the same content."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from testcluster import Cluster

ROOT = Path(__file__).parents[2]
TAG = "test"
SOURCES = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "service", "operator")
MARK = "paceline-test-images"


def content_hash() -> str:
    """Changes with every file that the images are built from."""
    digest = hashlib.sha256()
    for source in SOURCES:
        top = ROOT / source
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def ensure_images(cluster: Cluster) -> None:
    """Builds and loads `paceline-service:test` and `paceline-operator:test` unless the cluster has this very tree's.

    A ConfigMap in the cluster remembers what was loaded, so that a fresh cluster forgets it too.
    """
    wanted = content_hash()
    mark = cluster.read(f"/api/v1/namespaces/default/configmaps/{MARK}")
    if mark and mark["data"]["content"] == wanted:
        return
    if not os.environ.get("IMAGE_BUILD"):
        pytest.skip("cluster: IMAGE_BUILD names no command that builds images into the cluster")
    command = [str(ROOT / "scripts" / "image"), "service", "operator"]
    built = subprocess.run(
        command, env={**os.environ, "IMAGE_TAG": TAG}, capture_output=True, text=True, timeout=540, check=False
    )
    assert built.returncode == 0, f"building the images failed:\n{built.stdout[-2000:]}{built.stderr[-4000:]}"
    mark = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MARK}, "data": {"content": wanted}}
    cluster.apply("default", mark)
