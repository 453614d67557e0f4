"""The tables, as SQLAlchemy sees them: alembic compares them with the database. Hot routes use plain SQL."""

from paceline_api.models.account import Account
from paceline_api.models.item import Item
from paceline_api.models.product import Base, Product

__all__ = ["Account", "Base", "Item", "Product", "is_ours"]


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Alembic's `include_name`: which tables are looked at. procrastinate keeps its own in the same schema."""
    return kind != "table" or not (name or "").startswith("procrastinate_")
