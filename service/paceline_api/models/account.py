"""Who may sign in."""

from datetime import datetime

from sqlalchemy import TIMESTAMP, BigInteger, Identity, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from paceline_api.models.product import Base


class Account(Base):
    """One account. The email is stored as it is compared: lower case."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
