"""What the shop sells."""

from sqlalchemy import BigInteger, Identity, Index, Integer, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Collects the tables."""


class Product(Base):
    """One product; money is in cents, since floats cannot hold it."""

    __tablename__ = "products"
    __table_args__ = (Index("products_category", "category"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    price_cents: Mapped[int] = mapped_column(Integer)
