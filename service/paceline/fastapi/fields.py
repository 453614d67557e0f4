"""FastAPI's model fields as plain functions: pydantic's compiled ones, without the layers of Python in front."""

from collections.abc import Callable
from typing import Any

from fastapi._compat import ModelField
from fastapi._compat.v2 import _regenerate_error_with_loc
from pydantic_core import SchemaSerializer, SchemaValidator, ValidationError

Check = Callable[[Any], tuple[Any, list[Any]]]


def checking(field: ModelField, loc: tuple[int | str, ...]) -> Check:
    """As `ModelField.validate`: the value and no error, or None and what is wrong with it, at `loc`."""
    validator: object = field._type_adapter.validator
    if not isinstance(validator, SchemaValidator):  # its schema is built on first use, or a plugin looks on
        return lambda value: field.validate(value, {}, loc=loc)
    validate = validator.validate_python

    def check(value: Any) -> tuple[Any, list[Any]]:
        try:
            return validate(value, from_attributes=True), []
        except ValidationError as error:
            return None, _regenerate_error_with_loc(errors=error.errors(include_url=False), loc_prefix=loc)

    return check


def serializing(field: ModelField, options: dict[str, Any]) -> Callable[[Any], bytes]:
    """As `ModelField.serialize_json`; options that are pydantic's defaults are not handed over."""
    serializer: object = field._type_adapter.serializer
    chosen = {name: value for name, value in options.items() if value not in (None, False)}
    if not isinstance(serializer, SchemaSerializer):
        return lambda value: field.serialize_json(value, **options)
    to_json = serializer.to_json
    if chosen == {"by_alias": True}:
        return lambda value: to_json(value, by_alias=True)
    return lambda value: to_json(value, **{"by_alias": False, **chosen})
