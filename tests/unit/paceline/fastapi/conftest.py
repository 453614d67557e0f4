"""Applications asked in this process, and who answered."""

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response


class Asked:
    """Requests to an application; `by_plan` counts those that a compiled handler answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_plan = 0
        self._monkeypatch = monkeypatch

    def watch(self) -> None:
        """From here on, routes that are made count."""
        from paceline.fastapi import handler

        planned = handler._applies

        def applies(*arguments):  # type: ignore[no-untyped-def]
            decide = planned(*arguments)

            def decided(scope):  # type: ignore[no-untyped-def]
                applied = decide(scope)
                self.by_plan += applied
                return applied

            return decided

        self._monkeypatch.setattr(handler, "_applies", applies)

    async def get(self, app: FastAPI, path: str, **options: object) -> Response:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
            return await client.request(str(options.pop("method", "GET")), path, **options)  # type: ignore[arg-type]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    watching = Asked(monkeypatch)
    watching.watch()
    return watching
