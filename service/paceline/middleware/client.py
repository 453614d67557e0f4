"""What the server knows of the client of a request."""

from paceline.asgi import Receive


def client_left(receive: Receive) -> bool:
    """Whether the client hung up before its response was complete; False where the server does not say."""
    cycle = getattr(receive, "__self__", None)
    # In this order: nearly always it ends here, without another call.
    return getattr(cycle, "disconnected", False) is True and not response_complete(receive)


def response_complete(receive: Receive) -> bool:
    """Whether all of the response was sent; False where the server does not say."""
    return bool(getattr(getattr(receive, "__self__", None), "response_complete", False))
