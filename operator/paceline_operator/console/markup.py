"""HTML and SVG as values: whatever is not `Markup` is escaped, since names and messages come from the cluster."""

from html import escape
from typing import Final, TypeAlias

VOID: Final = frozenset({"meta", "link", "input", "br"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = str | None
"""`Markup` as it is, other text escaped, None left out."""


def el(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element. `class_` and `aria_label` are written `class` and `aria-label`; None and False leave one out."""
    opening = f"<{name}{''.join(_attribute(*each) for each in attributes.items())}>"
    if name in VOID:
        return Markup(opening)
    return Markup(f"{opening}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """One after the other."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each) for each in children if each is not None))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {written}="{escape(text)}"'
