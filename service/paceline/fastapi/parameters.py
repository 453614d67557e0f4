"""One parameter of a request, from its place to a value: what FastAPI looks up in the declaration is looked up once."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Final

from fastapi import params
from fastapi._compat import ModelField, Undefined, field_annotation_is_sequence, get_missing_field_error
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import (
    _get_param_aliases,
    _get_param_model,
    _is_json_field,
    request_params_to_args,
)
from starlette.requests import Request

from paceline.fastapi.fields import checking

Values = dict[str, Any]
Errors = list[Any]
Read = Callable[[Request, Values, Errors], None]
Validate = Callable[[Any, Values, Errors], None]

_ATOMIC: Final = (str, int, float, bool, bytes, type(None))
"""What `deepcopy` gives back as it is."""
_SOURCES: Final = {"path": "path_params", "query": "query_params", "header": "headers", "cookie": "cookies"}
_MULTIPLE: Final = ("query", "header")


def readers(dependant: Dependant) -> list[Read]:
    """What reads its parameters, in FastAPI's order: path, query, headers, cookies."""
    declared = (dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params)
    places = zip(_SOURCES, declared, strict=True)
    return [reader for place, fields in places if fields for reader in _readers_of(place, fields)]


def _readers_of(place: str, fields: Sequence[ModelField]) -> list[Read]:
    if any(_get_param_model(field) is not None or len(_get_param_aliases(field)) > 1 for field in fields):
        return [_as_fastapi(place, fields)]
    if place == "query":
        return [_query_reader([_extraction(place, field) for field in fields])]
    return [_reader(_SOURCES[place], *_extraction(place, field)) for field in fields]


def _as_fastapi(place: str, fields: Sequence[ModelField]) -> Read:
    """Whole models and alternative names: FastAPI's own function."""
    source = _SOURCES[place]

    def read(request: Request, values: Values, errors: Errors) -> None:
        found, wrong = request_params_to_args(fields, getattr(request, source))
        values.update(found)
        errors.extend(wrong)

    return read


def _extraction(place: str, field: ModelField) -> tuple[str, bool, bool, Validate]:
    """Its name in the request; whether all values of that name are wanted; whether empty is missing; what checks it."""
    assert isinstance(field.field_info, params.Param), "what is no body is a Param"
    alias = _get_param_aliases(field)[0][1]
    sequence = field_annotation_is_sequence(field.field_info.annotation)
    every = sequence and place in _MULTIPLE and not _is_json_field(field)
    return alias, every, sequence, validation(field, (field.field_info.in_.value, alias))


def _reader(source: str, alias: str, every: bool, empty_is_missing: bool, validate: Validate) -> Read:
    def read(request: Request, values: Values, errors: Errors) -> None:
        received: Any = getattr(request, source)
        value = received.getlist(alias) if every else received.get(alias)
        if value is None or (empty_is_missing and len(value) == 0):
            value = Undefined
        validate(value, values, errors)

    return read


def _query_reader(extractions: Sequence[tuple[str, bool, bool, Validate]]) -> Read:
    """Nothing is parsed where the URL has no query."""
    present = [_reader("query_params", *extraction) for extraction in extractions]
    validations = [validate for *_, validate in extractions]

    def read(request: Request, values: Values, errors: Errors) -> None:
        if request.scope["query_string"]:
            for reader in present:
                reader(request, values, errors)
            return
        for validate in validations:
            validate(Undefined, values, errors)

    return read


def validation(field: ModelField, loc: tuple[str, ...]) -> Validate:
    """Checks one value, or takes the default where there is none."""
    name, check, missing = field.name, checking(field, loc), _when_missing(field, loc)

    def validate(value: Any, values: Values, errors: Errors) -> None:
        if value is Undefined:
            missing(values, errors)
            return
        checked, wrong = check(value)
        if wrong:
            errors.extend(wrong)
        else:
            values[name] = checked

    return validate


def _when_missing(field: ModelField, loc: tuple[str, ...]) -> Callable[[Values, Errors], None]:
    name, info, check = field.name, field.field_info, checking(field, loc)
    constant = info.default if info.default_factory is None and type(info.default) in _ATOMIC else Undefined

    def required(_: Values, errors: Errors) -> None:
        errors.append(get_missing_field_error(loc=loc))

    def unchanged(values: Values, _: Errors) -> None:
        values[name] = constant

    def copied(values: Values, _: Errors) -> None:
        values[name] = deepcopy(field.default)

    def checked(values: Values, errors: Errors) -> None:
        value, wrong = check(deepcopy(field.default))
        if wrong:
            errors.extend(wrong)
        else:
            values[name] = value

    if info.is_required():
        return required
    if info.validate_default:
        return checked
    return copied if constant is Undefined else unchanged
