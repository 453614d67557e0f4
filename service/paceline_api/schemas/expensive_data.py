"""What /expensive-data returns."""

from pydantic import BaseModel, Field


class CategorySpread(BaseModel):
    """How far prices lie apart in one category."""

    category: str
    products: int
    mean_price_cents: float
    mean_difference_cents: float = Field(description="Mean difference of the prices of all pairs of products.")
    gini: float = Field(description="Gini coefficient of the prices: 0 all equal, 1 one product has it all.")


class SpreadReport(BaseModel):
    """All categories, the most unequal first."""

    categories: list[CategorySpread]
