"""Two calls share a key exactly if they mean the same."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.resources.cache.key import KeyTemplate
from pydantic import BaseModel


async def load(page: int, size: int = 10, *, sort: str = "name") -> None: ...


@pytest.mark.parametrize(
    ("template", "arguments", "options", "key"),
    [
        pytest.param("products:{page}", (2,), {}, "products:2", id="an argument by place"),
        pytest.param("products:{page}", (), {"page": 2}, "products:2", id="the same by name"),
        pytest.param("{page}:{size}", (2,), {}, "2:10", id="a default"),
        pytest.param("{sort}", (2,), {"sort": "a:b/c d"}, "a%3Ab%2Fc%20d", id="separators are quoted"),
        pytest.param("all", (2,), {}, "all", id="no field: one value for all"),
        pytest.param(None, (2,), {"sort": "x"}, "page=2:size=10:sort=x", id="without a template all count"),
        pytest.param("{page:03d}", (7,), {}, "007", id="a format"),
        pytest.param("{sort!r}", (2,), {}, "!text(builtins.str,%27name%27)", id="a conversion"),
        pytest.param("{{{page}}}", (2,), {}, "{2}", id="braces"),
        pytest.param("{page}-{size}{sort}", (2,), {}, "2|-10|name", id="no field runs into the next one"),
    ],
)
def test_a_call_becomes_a_key(
    template: str | None, arguments: tuple[Any, ...], options: dict[str, Any], key: str
) -> None:
    assert KeyTemplate(load, template).key(arguments, options) == key


@pytest.mark.invariant
@pytest.mark.parametrize("template", ["{a}:{b}", "{a}{b}", "{a}-{b}", "{a}.{b}", "{a}%{b}", "{a!s}_{b:s}", None])
@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_different_texts_have_different_keys(
    template: str | None, one: tuple[str, str], other: tuple[str, str]
) -> None:
    async def pair(a: str, b: str) -> None: ...

    key = KeyTemplate(pair, template).key
    assert (key(one, {}) == key(other, {})) == (one == other)


@pytest.mark.invariant
@pytest.mark.parametrize("template", ["{a}{b}", "{a}-{b}", "{a:d}{b:d}"])
def test_numbers_side_by_side_stay_two(template: str) -> None:
    async def pair(a: int, b: int) -> None: ...

    key = KeyTemplate(pair, template).key
    assert key((1, 12), {}) != key((11, 2), {})


class Shop:
    tenant = "one"

    async def price(self, item: str) -> None: ...


@dataclass(frozen=True)
class Customer:
    number: int


@dataclass(frozen=True)
class Order:
    customer: Customer
    lines: tuple[int, ...] = ()


class Filters(BaseModel):
    text: str = ""
    tags: list[str] = []


class Plain:
    """Equal to itself alone."""

    def __init__(self, number: int = 0) -> None:
        self.number = number


class Priced(Protocol):
    number: int


@pytest.mark.invariant
async def test_arguments_are_bound_as_python_binds_them() -> None:
    async def total(*amounts: int, **filters: int) -> None: ...

    async def only(place: int, /, **place_too: int) -> None: ...

    for template in (None, "{amounts}:{filters}"):
        key = KeyTemplate(total, template).key
        assert key((1, 2), {}) != key((1, 3), {})
        assert key((1, 2), {}) != key((1,), {})
        assert key((), {"a": 1, "b": 2}) == key((), {"b": 2, "a": 1})
        assert key((), {"a": 1}) != key((), {"a": 2})
    key = KeyTemplate(only, None).key
    assert key((1,), {"place": 2}) != key((1,), {}) != key((2,), {})
    with pytest.raises(TypeError, match=r"only\(\) 'place' parameter is positional only"):
        key((), {"place": 2})


def test_attributes_indexes_and_formats_of_arguments() -> None:
    async def show(order: Order, when: date, *, by: dict[str, int], user: Any) -> None: ...

    key = KeyTemplate(show, "{order.customer.number}:{when:%Y-%m}:{by[x]}:{order.lines[0]}:{user.number}").key
    assert key((Order(Customer(7), (3,)), date(2026, 1, 9)), {"by": {"x": 4}, "user": Plain(5)}) == (
        "7:!text(datetime.date,2026-01):4:3:5"
    )
    assert KeyTemplate(Shop.price, "{self.tenant}:{item}").key((Shop(), "tea"), {}) == "one:tea"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        pytest.param("p:{pag}", r"key 'p:\{pag\}' names 'pag', no parameter of load", id="unknown"),
        pytest.param("n:{page", "cannot be read: .*write fields as", id="not closed"),
        pytest.param("n:}", "cannot be read", id="not opened"),
        pytest.param("{}", "names no parameter", id="no name"),
        pytest.param("{0}", "names no parameter", id="a number"),
        pytest.param("{page:{size}}", "must not hold another field", id="a field in a format"),
        pytest.param("{page!x}", "cannot be read", id="an unknown conversion"),
        pytest.param("{page:%Y}", r"load\(\) takes page, but \{page:%Y\} fails: ValueError", id="no format of an int"),
        pytest.param("{sort:03d}", r"\{sort:03d\} fails", id="no format of a str"),
        pytest.param("{page.id}", r"\{page\.id\} fails: AttributeError: int has no attribute 'id'", id="no attribute"),
        pytest.param(str, r"key must be a template such as 'products:\{page\}', got <class 'str'>", id="a function"),
        pytest.param(5, "key must be a template", id="a number"),
    ],
)
def test_a_broken_template_fails_at_decoration(template: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        KeyTemplate(load, template)


async def _plain(x: Plain) -> None: ...
async def _optional(x: Plain | None = None) -> None: ...
async def _list(x: list[Plain]) -> None: ...
async def _annotated(x: Annotated[Plain, "dependency"]) -> None: ...
async def _variadic(*x: Plain) -> None: ...
async def _later(x: "Plain", y: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def _protocol(x: Priced) -> None: ...
async def _any(x: object, y: Any, z, v: dict[str, Any]) -> None: ...  # type: ignore[no-untyped-def]
async def _values(x: Order, y: Filters, z: list[date | None]) -> None: ...


@pytest.mark.invariant
@pytest.mark.parametrize("function", [_plain, _optional, _list, _annotated, _variadic, _later])
@pytest.mark.parametrize("template", [None, "x:{x}"])
def test_an_annotation_that_shows_an_object_without_a_value_is_refused(function: Any, template: str | None) -> None:
    with pytest.raises(UsageError, match=rf"{function.__name__}\(\) takes x of type Plain, which has no value"):
        KeyTemplate(function, template)


@pytest.mark.parametrize("function", [_protocol, _any, _values])
def test_what_cannot_be_known_is_left_to_the_first_call(function: Any) -> None:
    KeyTemplate(function, None)


def test_a_method_needs_a_template_without_self() -> None:
    with pytest.raises(UsageError, match=r"Shop\.price is a method, and self has no value"):
        KeyTemplate(Shop.price, None)
    with pytest.raises(UsageError, match="self has no value"):
        KeyTemplate(Shop.price, "{self}")


def test_an_attribute_that_no_such_object_has_fails_at_decoration() -> None:
    async def show(order: Order) -> None: ...

    with pytest.raises(UsageError, match=r"\{order\.custmer\} fails: AttributeError: Order has no attribute 'custmer'"):
        KeyTemplate(show, "{order.custmer}")


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("template", "argument", "says"),
    [
        pytest.param(None, Plain(), r"got x of type Plain, .* name the arguments that matter: key=", id="an object"),
        pytest.param("{x}", Plain(), "got x of type Plain", id="an object in a template"),
        pytest.param("{x!s}", Plain(), "of type Plain", id="the text of an object without one"),
        pytest.param("{x!r}", [Plain()], "of type list", id="the text of what holds one"),
        pytest.param("{x!r:.6}", Plain(), "of type Plain", id="the beginning of a text that tells nothing"),
        pytest.param(None, {"a": [Plain()]}, r"got x\['a'\]\[0\] of type Plain", id="an object within"),
        pytest.param("{x.owner}", Plain(), r"\{x\.owner\} fails: AttributeError", id="a missing attribute"),
        pytest.param("{x[a]}", {}, r"got x without what \{x\[a\]\} names", id="a missing key"),
        pytest.param("{x:03d}", "1", r"\{x:03d\} fails: ValueError", id="a format that does not fit"),
        pytest.param(None, load, "of type function", id="a function"),
    ],
)
def test_the_first_call_refuses_what_has_no_value(template: str | None, argument: Any, says: str) -> None:
    async def show(x): ...  # type: ignore[no-untyped-def]

    with pytest.raises(UsageError, match=says):
        KeyTemplate(show, template).key((argument,), {})


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="is nested too deeply"):
        KeyTemplate(_any, "{y}").key((1, endless, 2, {}), {})


def test_a_missing_or_unknown_argument_is_a_type_error_as_in_python() -> None:
    with pytest.raises(TypeError, match=r"load\(\) misses the argument 'page'"):
        KeyTemplate(load, "p:{page}").key((), {})
    with pytest.raises(TypeError, match=r"load\(\) got an unexpected keyword argument 'pages'"):
        KeyTemplate(load, "p:{page}").key((1,), {"pages": 2})
    with pytest.raises(TypeError, match=r"load\(\) multiple values for argument 'page'"):
        KeyTemplate(load, "p:{page}").key((1,), {"page": 2})


@pytest.mark.invariant
def test_a_long_key_is_short_and_still_its_own() -> None:
    key = KeyTemplate(load, "ü:{sort}").key
    keys = {key((1,), {"sort": "x" * 1000 + end}) for end in ("a", "b", "c")}
    assert len(keys) == 3
    assert {len(each) for each in keys} == {513}
