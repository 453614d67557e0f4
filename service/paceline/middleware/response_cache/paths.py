"""Which cached route a path belongs to. Pure."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from paceline.asgi import Scope
from paceline.errors import UsageError

_PARAMETER: Final = re.compile(r"\{\w+(?::(\w+))?\}")


def matcher(templates: Iterable[str]) -> Callable[[str], str | None]:
    """Finds the template of a path: `/users/{id}`, or `/files/{path:path}` across slashes; a plain path is one look-up.

    Raises:
        UsageError: a template does not begin with a slash, or its braces are no parameter.
    """
    given = tuple(templates)
    for template in given:
        if not template.startswith("/"):
            raise UsageError(f"ResponseCacheMiddleware: route {template!r} must begin with a slash")
        if set("{}") & set(_PARAMETER.sub("", template)):
            raise UsageError(f"ResponseCacheMiddleware: route {template!r}: parameters are written {{name}}")
    plain = {template: template for template in given if "{" not in template}
    patterns = [(_pattern(template).fullmatch, template) for template in given if "{" in template]

    def find(path: str) -> str | None:
        found = plain.get(path)
        if found is None:
            for fullmatch, template in patterns:
                if fullmatch(path):
                    return template
        return found

    return find


def same_shape(one: str, other: str) -> bool:
    """Whether two templates are the same but for the names of their parameters."""
    return _PARAMETER.sub("{}", one) == _PARAMETER.sub("{}", other)


def path_within(scope: Scope) -> str:
    """The path without the root path, as a mounted application's routes are written."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path[len(root) :] or "/" if root and (path + "/").startswith(root + "/") else path


def template_within(scope: Scope, template: str) -> str:
    """The template of a whole path without the segments of the root path; `/v1/users/{id}` in `/v1`: `/users/{id}`."""
    path = str(scope["path"])
    within = path_within(scope)
    cut = path[: len(path) - len(within)].count("/") if within != path else 0
    segments = template.split("/")[1:]
    if not cut or any(":path}" in segment for segment in segments[:cut]):
        return template
    return "/" + "/".join(segments[cut:])


def _pattern(template: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(template):
        pattern += re.escape(template[end : parameter.start()]) + (".+" if parameter[1] == "path" else "[^/]+")
        end = parameter.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL)
