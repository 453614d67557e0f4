"""What to say where a module holds no such application: which names of it may be meant."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from paceline.errors import UsageError
from paceline.serve.target import Target

_MOST: Final = 3
_FACTORY_WORDS: Final = ("create", "make", "build", "get_app", "factory")


def no_such_attribute(named: Target, module: Any) -> str:
    """One line: what is missing, and what there is in its place."""
    found = suggestions(module) if isinstance(module, ModuleType) else []
    there = f"it has {', '.join(found)}" if found else f"name the ASGI application: {named.module}:NAME"
    return f"module {named.module} has no attribute {'.'.join(named.path)!r}; {there}"


def suggestions(module: ModuleType) -> list[str]:
    """`MODULE:NAME` of what looks like an application, and `MODULE:NAME()` of what looks like a factory."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    applications = [f"{module.__name__}:{name}" for name, value in public.items() if _looks_like_one(value)]
    factories = [f"{module.__name__}:{name}()" for name, value in public.items() if _looks_like_factory(name, value)]
    return [*applications, *factories][:_MOST]


def _looks_like_one(value: Any) -> bool:
    if isinstance(value, (type, ModuleType)) or not callable(value):
        return False
    if inspect.isroutine(value) and not inspect.iscoroutinefunction(value):
        return False
    return takes(value, {}, None, None)


def _looks_like_factory(name: str, value: Any) -> bool:
    if not inspect.isfunction(value) or inspect.iscoroutinefunction(value):
        return False
    return takes(value) and any(word in name for word in _FACTORY_WORDS)


def takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether it may be called so; True of what shows no signature."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a callable written in C
        return True
    return True


def check_callable(target: str, application: Any) -> None:
    """Raises UsageError for what is no ASGI 3 application.

    Frameworks and middleware differ in what they are; what they accept is what makes them one.
    """
    if callable(application) and takes(application, {}, None, None):
        return
    kind = type(application).__name__
    if inspect.isroutine(application) and takes(application):
        advice = f"call it if it makes the application: {target}(), or --factory"
    elif inspect.iscoroutine(application):
        application.close()
        advice = "a factory must not be a coroutine function; make in the lifespan what has to be awaited"
    else:
        advice = "name the application object itself, not a factory or a WSGI application"
    raise UsageError(f"{target} is no ASGI application: {kind} cannot be called with (scope, receive, send); {advice}")
