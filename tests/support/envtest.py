"""A real API server on loopback, from `KUBEBUILDER_ASSETS` (etcd, kube-apiserver): no nodes, no controllers, RBAC."""

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from serving import free_ports

START_SECONDS = 60


class RefusedError(Exception):
    """The API server answered with an error; `status` is its code, the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EnvtestServer:
    """Users: `admin` may everything, `operator` what a test binds to this name, `stranger` nothing."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self.ca = folder / "certs" / "apiserver.crt"
        self._ssl = ssl.create_default_context(cafile=str(self.ca))

    def kubeconfig(self, user: str = "admin", url: str | None = None) -> Path:
        """A kubeconfig for one of the users, optionally by way of a proxy."""
        path = self._folder / f"kubeconfig-{user}-{abs(hash(url))}"
        cluster = {"server": url} if url else {"server": self.url, "certificate-authority": str(self.ca)}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
                    "clusters": [{"name": "test", "cluster": cluster}],
                    "users": [{"name": user, "user": {"token": user}}],
                }
            )
        )
        return path

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        user: str = "admin",
    ) -> Any:
        """One request. Raises RefusedError."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {user}", "Content-Type": content_type, "Accept": accept},
        )
        try:
            with urllib.request.urlopen(request, context=self._ssl, timeout=20) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            content = error.read()
            try:
                message = json.loads(content)["message"]
            except ValueError:
                message = content.decode()
            raise RefusedError(error.code, message) from error

    def requests_served(self, verb: str, resource: str, subresource: str = "") -> int:
        """How many requests of a kind have succeeded so far, as the API server counts them."""
        wanted = (f'verb="{verb}"', f'resource="{resource}"', f'subresource="{subresource}"', 'code="20')
        return sum(count for line, count in self._counted() if all(text in line for text in wanted))

    def requests_of(self, resources: Collection[str]) -> int:
        """How many requests there were so far to any of these resources, whatever became of them; watches left out."""
        wanted = [f'resource="{name}"' for name in resources]
        return sum(
            count for line, count in self._counted() if 'verb="WATCH"' not in line and any(n in line for n in wanted)
        )

    def _counted(self) -> Iterator[tuple[str, int]]:
        """The API server's counters of requests, each with its labels."""
        request = urllib.request.Request(f"{self.url}/metrics", headers={"Authorization": "Bearer admin"})
        with urllib.request.urlopen(request, context=self._ssl, timeout=20) as response:
            for line in response.read().decode().splitlines():
                if line.startswith("apiserver_request_total{"):
                    yield line, int(float(line.split()[-1]))

    def create(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("POST", path, body)

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def table(self, path: str) -> Any:
        """What `kubectl get` prints."""
        return self.request("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")

    def merge(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)

    def apply(self, path: str, body: Mapping[str, Any]) -> Any:
        """Server-side apply: creates or replaces."""
        return self.request(
            "PATCH", f"{path}?fieldManager=test&force=true", body, content_type="application/apply-patch+yaml"
        )

    def wait_for(self, path: str) -> None:
        """Until the path is served."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.get(path)
                return
            except (RefusedError, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextmanager
def envtest(folder: Path) -> Iterator[EnvtestServer]:
    """Starts both, waits until the server is ready, ends both."""
    assets = Path(os.environ["KUBEBUILDER_ASSETS"])
    etcd_port, peer_port, port = free_ports(3)
    (folder / "tokens").write_text('admin,admin,1,"system:masters"\noperator,operator,2\nstranger,stranger,3\n')
    etcd = [
        assets / "etcd", "--data-dir", folder / "etcd", "--unsafe-no-fsync",
        "--listen-client-urls", f"http://127.0.0.1:{etcd_port}",
        "--advertise-client-urls", f"http://127.0.0.1:{etcd_port}",
        "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
    ]  # fmt: skip
    certs = folder / "certs"  # the server writes its own; its key signs service account tokens too
    api = [
        assets / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{etcd_port}",
        "--bind-address", "127.0.0.1", "--secure-port", str(port), "--cert-dir", certs,
        "--token-auth-file", folder / "tokens", "--authorization-mode", "RBAC",
        "--service-account-issuer", "https://localhost", "--service-account-key-file", certs / "apiserver.key",
        "--service-account-signing-key-file", certs / "apiserver.key", "--service-cluster-ip-range", "10.0.0.0/24",
        "--disable-admission-plugins", "ServiceAccount",
    ]  # fmt: skip
    with _process(etcd, folder / "etcd.log"), _process(api, folder / "apiserver.log") as process:
        url = f"https://127.0.0.1:{port}"
        _wait_until_ready(url, folder, process)
        yield EnvtestServer(url, folder)


@contextmanager
def _process(command: list[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            EnvtestServer(url, folder).request("GET", "/readyz?verbose=false")
        except ValueError:
            return  # `ok` is not JSON
        except (OSError, RefusedError):
            time.sleep(0.2)
    raise AssertionError(f"no API server: {(folder / 'apiserver.log').read_text()[-2000:]}")
