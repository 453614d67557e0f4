"""Requests to the API server: one deadline, plain JSON, and every failure as one of `ports`' errors.

It knows verbs and status codes; what the paths mean is `cluster/kubernetes.py`'s.
"""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTResponse

from paceline_operator.cluster.refusals import error_of
from paceline_operator.errors import UsageError
from paceline_operator.ports import PlatformUnavailable

MERGE_PATCH: Final = "application/merge-patch+json"


async def load_configuration() -> Configuration:
    """Where the API server is and who we are: the pod's service account, else KUBECONFIG.

    Raises:
        UsageError: neither is there, or it cannot be read.
    """
    configuration = Configuration()
    kubeconfig = os.environ.get("KUBECONFIG")
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            _require_files(kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION)
            await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise UsageError(f"no access to a cluster: {error}; run in a pod or set KUBECONFIG") from error
    return configuration


def _require_files(paths: str) -> None:
    """The loader takes a file that does not exist for an empty one."""
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise FileNotFoundError(f"there is no file {paths}")


async def credentials(configuration: Configuration) -> dict[str, Any]:
    """The same server and identity for a second client, in kopf's words. A pod's token is read anew when due."""
    header = await configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = header.partition(" ")
    return {
        "server": configuration.host,
        "ca_path": configuration.ssl_ca_cert,
        "insecure": not configuration.verify_ssl,
        "scheme": scheme or None,
        "token": token or None,
        "certificate_path": configuration.cert_file,
        "private_key_path": configuration.key_file,
    }


class ApiServer:
    """One API server. `deadline_seconds` bounds each call from connecting to the last byte."""

    def __init__(self, configuration: Configuration, *, deadline_seconds: float) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = "paceline-operator"
        self._timeout = aiohttp.ClientTimeout(total=deadline_seconds)
        self._deadline_seconds = deadline_seconds

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Reads. Raises Missing, PlatformUnavailable."""
        return await self._request("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """POST; the object as stored. Raises Missing, Conflict (it exists), PlatformUnavailable."""
        return await self._request("POST", path, body=body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """PUT; compare-and-set if the body has a `resourceVersion`. The object as stored.

        Raises:
            Missing, Conflict, PlatformUnavailable.
        """
        return await self._request("PUT", path, body=body)

    async def merge(self, path: str, body: Mapping[str, Any]) -> None:
        """Merge patch. Raises Missing, Conflict, PlatformUnavailable."""
        await self._request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def delete(self, path: str) -> None:
        """Raises Missing, PlatformUnavailable."""
        await self._request("DELETE", path)

    async def events(self, path: str, seconds: float, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """What a watch tells, one by one, for as long as the API server keeps it open, `seconds` at most.

        Raises:
            Missing, Conflict, PlatformUnavailable.
        """
        timeout = aiohttp.ClientTimeout(total=seconds + self._deadline_seconds, sock_connect=self._deadline_seconds)
        try:
            response = (await self._send("GET", path, query, None, "application/json", timeout)).response
            try:
                if response.status >= 300:
                    raise error_of(response.status, f"GET {path}", await response.read())
                async for line in response.content:
                    yield _parse("GET", path, line)
            finally:
                response.close()
        except TimeoutError as error:
            raise PlatformUnavailable(f"the API server left the watch {path} open and silent") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PlatformUnavailable(f"the watch {path} broke: {type(error).__name__}: {error}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Mapping[str, Any]:
        try:
            status, response = await self._exchange(method, path, query, body, content_type)
        except TimeoutError as error:
            raise PlatformUnavailable(
                f"the API server did not respond {method} {path} within {self._deadline_seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise PlatformUnavailable(f"the API server cannot be reached for {method} {path}: {error}") from error
        if status < 300:
            return _parse(method, path, response)
        raise error_of(status, f"{method} {path}", response)

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> tuple[int, bytes]:
        response = await self._send(method, path, query, body, content_type, self._timeout)
        return response.status, await response.read()  # type: ignore[no-untyped-call]

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> RESTResponse:
        # The generated methods would build a model object for each pod; the raw response is parsed once, in place.
        method, url, headers, data, _ = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        return await self._client.call_api(method, url, headers, data, _request_timeout=timeout)


def _parse(method: str, path: str, response: bytes) -> Mapping[str, Any]:
    try:
        parsed: Mapping[str, Any] = orjson.loads(response)
    except orjson.JSONDecodeError as error:
        raise PlatformUnavailable(f"the response to {method} {path} is not JSON: is this an API server?") from error
    return parsed
