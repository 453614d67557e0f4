"""An application with one tunable cache."""

from paceline import tune
from plain import app

__all__ = ["app"]


@tune.cache(name="answers", ttl=60, key="answers:{number}")
async def load_answer(number: int) -> int:
    return number
