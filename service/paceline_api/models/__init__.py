"""The tables, as SQLAlchemy sees them: alembic compares them with the database. Hot routes use plain SQL."""

from paceline_api.models.item import Item
from paceline_api.models.product import Base, Product

__all__ = ["Base", "Item", "Product"]
