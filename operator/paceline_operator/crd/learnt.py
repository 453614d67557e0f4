"""What the loop has learnt, in a checkpoint: known settings, noise, probing, costs. Fifty rows must fit."""

from collections.abc import Mapping
from typing import Any, Final

from paceline_operator.core.model.tunables import NOTHING, Values
from paceline_operator.core.model.values import values_from_wire, values_to_wire
from paceline_operator.core.situation.memory import (
    Busy,
    Ceiling,
    Doubt,
    Drowned,
    Known,
    Memory,
    Noise,
    Probing,
    Replicas,
)
from paceline_operator.crd.measured import parse_measured, parse_time, readable, render_measured, render_time

LEARNT: Final = (
    "known",
    "noise",
    "probing",
    "cpu",
    "fastest",
    "drowned",
    "ceiling",
    "replicas",
    "busy",
    "wanted",
    "doubts",
)


def render_learnt(memory: Memory) -> dict[str, Any]:
    """`{"known": [...], "noise": {...}, "probing": {...}, "cpu": {...}, "fastest": {...}, ...}`."""
    wire: dict[str, Any] = {
        "known": [_render_known(known) for known in memory.known],
        "noise": _render_noise(memory.noise),
        "probing": {"failures": memory.probing.failures},
        "cpu": {str(workers): round(seconds, 7) for workers, seconds in memory.cpu.items()},
        "fastest": {name: round(seconds, 7) for name, seconds in memory.fastest.items()},
        "busy": [{"since": render_time(slot.since), "load": round(slot.load, 3)} for slot in memory.busy],
        "wanted": [values_to_wire(values) for values in memory.wanted],
        "doubts": {name: _render_doubt(doubt) for name, doubt in memory.doubts.items()},
        "drowned": {name: _render_drowned(known) for name, known in memory.drowned.items()},
    }
    if memory.probing.after is not None:
        wire["probing"]["after"] = render_time(memory.probing.after)
    if memory.ceiling is not None:
        wire["ceiling"] = {"workers": memory.ceiling.workers, "template": memory.ceiling.template}
    if memory.replicas is not None:
        wire["replicas"] = {"count": memory.replicas.count, "since": render_time(memory.replicas.since)}
    return wire


def parse_learnt(tuner: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Memory`; what cannot be read is forgotten."""
    known: list[Known] = readable(lambda: [_parse_known(entry) for entry in tuner.get("known", ())], [])
    busy: list[Busy] = readable(lambda: [_parse_busy(slot) for slot in tuner["busy"]], [])
    wanted: list[Values] = readable(lambda: [values_from_wire(values) for values in tuner["wanted"]], [])
    return {
        "known": tuple(known),
        "noise": readable(lambda: _parse_noise(tuner["noise"]), Noise()),
        "probing": readable(lambda: _parse_probing(tuner["probing"]), Probing()),
        "cpu": readable(lambda: {int(n): float(seconds) for n, seconds in tuner["cpu"].items()}, NOTHING),
        "fastest": readable(lambda: {str(n): float(seconds) for n, seconds in tuner["fastest"].items()}, NOTHING),
        "drowned": readable(lambda: {str(n): _parse_drowned(entry) for n, entry in tuner["drowned"].items()}, NOTHING),
        "doubts": readable(lambda: {str(n): _parse_doubt(entry) for n, entry in tuner["doubts"].items()}, NOTHING),
        "ceiling": readable(lambda: _parse_ceiling(tuner["ceiling"]), None),
        "replicas": readable(lambda: _parse_replicas(tuner["replicas"]), None),
        "busy": tuple(busy),
        "wanted": tuple(wanted),
    }


def _render_known(known: Known) -> dict[str, Any]:
    wire = {
        "values": values_to_wire(known.values),
        "load": round(known.load, 3),
        "p95": round(known.p95_seconds, 6),
        "n": known.windows,
        "time": render_time(known.time),
    }
    return {**wire, "template": known.template} if known.template else wire


def _parse_known(wire: Mapping[str, Any]) -> Known:
    values = values_from_wire(wire["values"])
    time, template = parse_time(wire["time"]), str(wire.get("template", ""))
    return Known(values, float(wire["load"]), float(wire["p95"]), int(wire["n"]), time, template)


def _parse_busy(wire: Mapping[str, Any]) -> Busy:
    return Busy(parse_time(wire["since"]), float(wire["load"]))


def _render_noise(noise: Noise) -> dict[str, Any]:
    wire: dict[str, Any] = {"variance": round(noise.variance, 6), "windows": noise.windows}
    if noise.last is not None:
        wire |= {"last": render_measured(noise.last), "generation": noise.generation}
    return wire


def _parse_noise(wire: Mapping[str, Any]) -> Noise:
    last = parse_measured(wire["last"]) if wire.get("last") else None
    return Noise(float(wire["variance"]), int(wire["windows"]), last, int(wire.get("generation", 0)))


def _parse_probing(wire: Mapping[str, Any]) -> Probing:
    after = parse_time(wire["after"]) if wire.get("after") else None
    return Probing(int(wire["failures"]), after)


def _render_doubt(doubt: Doubt) -> dict[str, Any]:
    return {
        "seen": round(doubt.seen, 3),
        "load": round(doubt.load, 3),
        "template": doubt.template,
        "until": render_time(doubt.until),
        "times": doubt.times,
    }


def _parse_doubt(wire: Mapping[str, Any]) -> Doubt:
    until, times = parse_time(wire["until"]), int(wire["times"])
    return Doubt(float(wire["seen"]), float(wire["load"]), str(wire["template"]), until, times)


def _render_drowned(known: Drowned) -> dict[str, Any]:
    return {
        "connections": int(known.connections),
        "querySeconds": round(known.query_seconds, 7),
        "checkouts": round(known.checkouts, 3),
        "until": render_time(known.until),
        "times": known.times,
    }


def _parse_drowned(wire: Mapping[str, Any]) -> Drowned:
    return Drowned(
        connections=float(wire["connections"]),
        query_seconds=float(wire["querySeconds"]),
        checkouts=float(wire["checkouts"]),
        until=parse_time(wire["until"]),
        times=int(wire["times"]),
    )


def _parse_ceiling(wire: Mapping[str, Any]) -> Ceiling:
    return Ceiling(float(wire["workers"]), str(wire["template"]))


def _parse_replicas(wire: Mapping[str, Any]) -> Replicas:
    return Replicas(int(wire["count"]), parse_time(wire["since"]))
