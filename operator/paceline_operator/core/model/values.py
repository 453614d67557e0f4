"""Values and changes in the form that documents, `/state` and status share: `{"workers", "pools", "caches"}`.

What the form is, each kind's descriptor says.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from paceline_operator.core.model.decision import Change
from paceline_operator.core.model.tunables import DESCRIPTORS, Descriptor, Kind, Tunable, Values, Wire

SECTIONS: Final[Mapping[str, Kind]] = {
    section: next(kind for kind, each in DESCRIPTORS.items() if each.section == section)
    for section in dict.fromkeys(each.section for each in DESCRIPTORS.values())
}
"""What is read from a section of `values`."""


def reported(section: str, word: object, name: str) -> Tunable:
    """What a pod says that this name in a section is; where it does not say, what is read from the section."""
    kinds = (kind for kind, each in DESCRIPTORS.items() if each.section == section and each.reported_as == word)
    return Tunable(next(kinds, SECTIONS[section]), name)


def values_to_wire(values: Values) -> dict[str, Any]:
    """`{"workers": 4, "pools": {"postgres": 8}, "caches": {"responses": {"ttlSeconds": 60}}, …}`."""
    wire: dict[str, Any] = {}
    for kind, descriptor in DESCRIPTORS.items():
        found = {tunable.name: values[tunable] for tunable in sorted(values) if tunable.kind is kind}
        section = _section(descriptor, found)
        if isinstance(section, dict):
            section = {**wire.get(descriptor.section, {}), **section}
        if section is not None:
            wire[descriptor.section] = section
    return wire


def values_from_wire(wire: Mapping[str, Any]) -> Values:
    """The inverse; fields that this version does not know are left out.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: not values.
    """
    values: dict[Tunable, float] = {}
    for section, kind in SECTIONS.items():
        descriptor, found = DESCRIPTORS[kind], wire.get(section)
        read = int if descriptor.whole else _number
        if found is not None:
            values |= {Tunable(kind, name): read(value) for name, value in entries(descriptor, found)}
    return values


def entries(descriptor: Descriptor, section: Any) -> Iterator[tuple[str, Any]]:
    """The values in a section of the wire, unread, by name.

    Raises:
        KeyError, TypeError, AttributeError: not such a section.
    """
    match descriptor.wire:
        case Wire.ONE:
            yield "", section
        case Wire.BY_NAME:
            yield from section.items()
        case Wire.OBJECT_BY_NAME:
            yield from ((name, entry[descriptor.fields[0]]) for name, entry in section.items())
        case _:
            given = {name: section[name] for name in descriptor.fields if section.get(name) is not None}
            yield from given.items() if given.keys() >= {*descriptor.required} else ()


def _section(descriptor: Descriptor, values: Mapping[str, float]) -> Any:
    """None where nothing is to be written."""
    match descriptor.wire:
        case Wire.ONE:
            return _number(values[""]) if values else None
        case Wire.BY_NAME:
            return {name: _number(value) for name, value in values.items()}
        case Wire.OBJECT_BY_NAME:
            return {name: {descriptor.fields[0]: _number(value)} for name, value in values.items()}
    given = {name: _number(values[name]) for name in descriptor.fields if values.get(name)}
    return given if given.keys() >= {*descriptor.required} else None


def tunable_to_wire(tunable: Tunable) -> str:
    """`workers`, `pools.NAME`, `caches.NAME` and so on: the section, and the name in it."""
    section = tunable.descriptor.section
    return f"{section}.{tunable.name}" if tunable.name else section


def tunable_from_wire(text: str) -> Tunable:
    """The inverse.

    Raises:
        ValueError: names no tunable.
    """
    section, _, name = text.partition(".")
    kind = SECTIONS.get(section)
    if kind is None or bool(name) is (DESCRIPTORS[kind].wire is Wire.ONE):
        raise ValueError(f"{text!r} names no tunable: {', '.join(map(_path, DESCRIPTORS.values()))}")
    return Tunable(kind, name)


def _path(descriptor: Descriptor) -> str:
    return descriptor.section if descriptor.wire is Wire.ONE else f"{descriptor.section}.NAME"


def change_to_wire(change: Change) -> dict[str, Any]:
    """`{"tunable": "pools.postgres", "old": 5, "new": 8}`; TTLs in seconds."""
    old = None if change.old is None else _number(change.old)
    return {"tunable": tunable_to_wire(change.tunable), "old": old, "new": _number(change.new)}


def change_from_wire(wire: Mapping[str, Any]) -> Change:
    """The inverse.

    Raises:
        ValueError, KeyError, TypeError: not a change.
    """
    old = wire.get("old")
    return Change(tunable_from_wire(wire["tunable"]), None if old is None else _number(old), _number(wire["new"]))


def _number(value: float) -> float:
    """Whole numbers without a fraction: `60`, not `60.0`."""
    number = float(value)
    return int(number) if number.is_integer() else number
