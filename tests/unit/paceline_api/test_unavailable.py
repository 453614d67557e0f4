"""Which refusals of Redis are its trouble, and which are mistakes of ours."""

import doctest

import pytest
from paceline_api import unavailable
from paceline_api.unavailable import is_unavailable
from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError


def received(line: str) -> BaseException:
    """The exception that redis-py makes of an error line."""
    error: BaseException = BaseParser.parse_error(line)
    return error


TROUBLE = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "NOREPLICAS Not enough good replicas to write.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "LOADING Valkey is loading the dataset in memory",
    "BUSY Valkey is busy running a script.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOPERM User default has no permissions to run the 'set' command",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "ERR max number of clients reached",
    "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed when full",
]
MISTAKES = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR syntax error",
    "ERR unknown command 'SETT', with args beginning with: ",
    "ERR value is not an integer or out of range",
    "NOSCRIPT No matching script.",
]


@pytest.mark.parametrize("line", TROUBLE)
def test_it_takes_nothing_now(line: str) -> None:
    assert is_unavailable(received(line))


@pytest.mark.parametrize("line", [line for line in TROUBLE if type(received(line)) is ResponseError])
def test_a_pipeline_puts_its_command_in_front(line: str) -> None:
    assert is_unavailable(ResponseError(f"Command # 1 (SET ERR x) of pipeline caused error: {received(line).args}"))


@pytest.mark.parametrize("line", MISTAKES)
def test_it_is_a_bug_of_ours(line: str) -> None:
    assert not is_unavailable(received(line))


def test_other_exceptions() -> None:
    assert is_unavailable(TimeoutError())
    assert not is_unavailable(ValueError("OOM command not allowed"))


def test_the_worked_examples_are_right() -> None:
    assert doctest.testmod(unavailable).failed == 0
