"""What `paceline serve` puts in front of an application, seen by its clients."""

import http.client

from serving import Served, StartPod


def headers_of(pod: Served, **sent: str) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)
    connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in sent.items()})
    response = connection.getresponse()
    response.read()
    connection.close()
    return {name.lower(): value for name, value in response.getheaders()}


def test_nothing_is_added_unasked(start_pod: StartPod) -> None:
    assert headers_of(start_pod(), X_Request_ID="7").keys() <= {"content-type", "content-length", "date", "connection"}


def test_all_that_can_be_asked_for(start_pod: StartPod) -> None:
    pod = start_pod(request_id=True, process_time=True, security_headers=True, trusted_proxies="127.0.0.0/8")
    answered = headers_of(pod, X_Request_ID="7", X_Forwarded_For="9.9.9.9", X_Forwarded_Proto="https")
    assert answered["x-request-id"] == "7"
    assert answered.keys() >= {"x-process-time", "server-timing", "x-content-type-options"}
    assert "strict-transport-security" in answered
