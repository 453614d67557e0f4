"""Create accounts, and the tables of durable jobs."""

from importlib.resources import files
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JOBS_SCHEMA: Final = "03.04"
"""procrastinate's scripts up to here, whatever version is installed; newer ones are a revision of their own."""


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    for script in _scripts():
        # As a script, not as a statement: asyncpg prepares statements, and only one at a time.
        connection.run_async(lambda driver, script=script: driver.execute(script))


def _scripts() -> list[str]:
    found = sorted(files("procrastinate.sql.migrations").iterdir(), key=lambda file: file.name)
    return [file.read_text() for file in found if file.name.endswith(".sql") and file.name[:5] <= _JOBS_SCHEMA]


def downgrade() -> None:
    raise NotImplementedError("jobs that wait would be lost: drop the tables procrastinate_* and accounts by hand")
