"""A body of the shape and size that the reference API's /expensive-data has. Hits alone are measured: no database."""

from typing import Any

CATEGORIES = ("Books", "Garden", "Games", "Kitchen", "Light", "Music", "Office", "Sport", "Tools", "Travel")
REPORT: dict[str, Any] = {
    "categories": [
        {
            "category": category,
            "products": 100,
            "mean_price_cents": 25044.17 + number / 7,
            "mean_difference_cents": 16566.8166 + number / 3,
            "gini": 0.33075194 + number / 977,
        }
        for number, category in enumerate(CATEGORIES)
    ]
}
