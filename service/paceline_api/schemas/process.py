"""What /process takes and returns."""

from pydantic import BaseModel, Field

from paceline_api.schemas.numbers import Integer, Number


class TileRequest(BaseModel):
    """A square of the complex plane. The largest one allowed takes about ten seconds of one core."""

    real: Number = Field(default=-0.5, ge=-2, le=2, description="Centre of the square.")
    imaginary: Number = Field(default=0.0, ge=-2, le=2)
    span: Number = Field(default=3.0, gt=0, le=4, description="Length of its side.")
    size: Integer = Field(default=64, ge=1, le=128, description="Points along a side.")
    iterations: Integer = Field(default=200, ge=1, le=10_000, description="Steps to try at each point.")


class Tile(BaseModel):
    """How fast each point of the square escapes."""

    rows: list[list[int]] = Field(description="Steps until a point escaped, from the top; `iterations`: it did not.")
