"""What names an application: `MODULE:APP`, `MODULE:OBJECT.APP`, or a call that makes one, `MODULE:create_app("test")`.

As gunicorn reads it: arguments are literals, and a module alone means its `application`. Nothing is imported here.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any, Final

from paceline.errors import UsageError

_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FILE: Final = re.compile(r"(.*/)?([^/]+)\.py")
_DEFAULT: Final = "application"


@dataclass(frozen=True, slots=True)
class Target:
    """One application, named."""

    module: str
    path: tuple[str, ...]
    """Attributes, from the module on."""
    called: bool = False
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


def complete(text: str) -> str:
    """The name in full: `shop` means `shop:application`.

    Raises:
        UsageError: says what it must look like.
    """
    parse(text)
    return text if ":" in text else f"{text}:{_DEFAULT}"


def parse(text: str) -> Target:
    """Raises UsageError: says what it must look like."""
    module, colon, expression = text.partition(":")
    if not _MODULE.fullmatch(module) or _FILE.fullmatch(module) or (colon and not expression):
        raise _wrong(text, module, expression)
    try:
        return _read(module, ast.parse(expression or _DEFAULT, mode="eval").body)
    except (SyntaxError, ValueError, TypeError) as error:
        raise _wrong(text, module, expression) from error


def _read(module: str, node: ast.expr) -> Target:
    """Raises ValueError for what is neither a name, a path of attributes, nor a call of one with literals."""
    if not isinstance(node, ast.Call):
        return Target(module, _path(node))
    arguments = tuple(ast.literal_eval(each) for each in node.args)
    keywords = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError(ast.unparse(keyword.value))
        keywords[keyword.arg] = ast.literal_eval(keyword.value)
    return Target(module, _path(node.func), True, arguments, keywords)


def _path(node: ast.expr) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=value, attr=name):
            return (*_path(value), name)
    raise ValueError(ast.unparse(node))


def _wrong(text: str, module: str, expression: str) -> UsageError:
    if expression.count("(") and _MODULE.fullmatch(module):
        return UsageError(
            f"{text!r} does not name an application: arguments of a call are literals, such as"
            f" {module}:create_app('production')"
        )
    if file := _FILE.fullmatch(module):
        dotted = f"{(file[1] or '').strip('./').replace('/', '.')}.{file[2]}".strip(".")
        return UsageError(
            f"{text!r} does not name an application: it is a file; write MODULE:APP,"
            f" here {dotted}:{expression or 'app'}"
        )
    return UsageError(
        f"{text!r} does not name an application; write MODULE:APP, for instance shop.main:app for the object `app` in"
        " shop/main.py, or shop.main:create_app() for what a factory makes"
    )
