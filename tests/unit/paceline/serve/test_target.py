"""What names an application, and what does not."""

import pytest
from paceline.errors import UsageError
from paceline.serve.target import Target, complete, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("shop:app", Target("shop", ("app",))),
        ("shop.main:api.app", Target("shop.main", ("api", "app"))),
        ("_shop:_app", Target("_shop", ("_app",))),
        ("größe:app", Target("größe", ("app",))),
        ("shop", Target("shop", ("application",))),
        ("shop.main", Target("shop.main", ("application",))),
        ("shop:create_app()", Target("shop", ("create_app",), called=True)),
        ("shop:create_app( )", Target("shop", ("create_app",), called=True)),
        ("shop:factory.make('a:b', 2, debug=True, names=['x'])",
         Target("shop", ("factory", "make"), True, ("a:b", 2), {"debug": True, "names": ["x"]})),
    ],
)  # fmt: skip
def test_names_of_applications(text: str, target: Target) -> None:
    assert parse(text) == target
    assert parse(complete(text)) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write MODULE:APP"),
        ("shop:", "write MODULE:APP"),
        (":app", "write MODULE:APP"),
        ("shop main:app", "write MODULE:APP"),
        ("a..b:c", "write MODULE:APP"),
        ("1:2", "write MODULE:APP"),
        ("shop:app[0]", "write MODULE:APP"),
        ("shop:app:x", "write MODULE:APP"),
        ("shop:app or quit", "write MODULE:APP"),
        ("shop:'app'", "write MODULE:APP"),
        ("shop.py", "it is a file; write MODULE:APP, here shop:app"),
        ("shop/main.py:api", "it is a file; write MODULE:APP, here shop.main:api"),
        ("./shop/main.py", "here shop.main:app"),
        ("shop:create_app(settings)", "arguments of a call are literals"),
        ("shop:create_app(*names)", "arguments of a call are literals"),
        ("shop:create_app(**names)", "arguments of a call are literals"),
        ("shop:create_app()()", "arguments of a call are literals"),
        ("shop:create_app(", "arguments of a call are literals"),
        ("shop:" + "(" * 500, "arguments of a call are literals"),
    ],
)
def test_what_names_none_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        complete(text)
    assert "\n" not in str(refused.value)
