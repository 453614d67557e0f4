"""A Django application in one file: a route with a parameter, a streamed answer, an error."""

from collections.abc import AsyncIterator

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of an example")
django.setup()


async def greet(request: HttpRequest, name: str) -> JsonResponse:
    return JsonResponse({"greeting": f"hello {name}"})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces())


def refuse(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=418)


urlpatterns = [path("greet/<name>", greet), path("stream", stream), path("refuse", refuse)]
app = get_asgi_application()
