"""Two calls share a key exactly if they mean the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.resources.cache.key import KeyTemplate


async def load(page: int, size: int = 10, *, sort: str = "name") -> None: ...


@pytest.mark.parametrize(
    ("template", "arguments", "options", "key"),
    [
        pytest.param("products:{page}", (2,), {}, "products:2", id="an argument by place"),
        pytest.param("products:{page}", (), {"page": 2}, "products:2", id="the same by name"),
        pytest.param("{page}:{size}", (2,), {}, "2:10", id="a default"),
        pytest.param("{sort}", (2,), {"sort": "a:b/c d"}, "a%3Ab%2Fc%20d", id="separators are quoted"),
        pytest.param("all", (2,), {}, "all", id="no field: one answer for all"),
        pytest.param(None, (2,), {"sort": "x"}, "page=2:size=10:sort=x", id="without a template all count"),
    ],
)
def test_a_call_becomes_a_key(
    template: str | None, arguments: tuple[Any, ...], options: dict[str, Any], key: str
) -> None:
    assert KeyTemplate(load, template).key(arguments, options) == key


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_different_texts_have_different_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    async def pair(a: str, b: str) -> None: ...

    template = KeyTemplate(pair, "{a}:{b}")
    assert (template.key(one, {}) == template.key(other, {})) == (one == other)


def test_a_field_that_is_no_parameter_is_named() -> None:
    with pytest.raises(UsageError, match=r"key 'p:\{pag\}' names 'pag', no parameter of load"):
        KeyTemplate(load, "p:{pag}")


def test_without_a_template_an_object_is_refused_with_advice() -> None:
    with pytest.raises(UsageError, match=r"load\(\) got page of type object, .* name the arguments that matter: key="):
        KeyTemplate(load, None).key((object(),), {})


def test_a_missing_argument_is_a_type_error_as_in_python() -> None:
    with pytest.raises(TypeError, match=r"load\(\) misses the argument 'page'"):
        KeyTemplate(load, "p:{page}").key((), {})
