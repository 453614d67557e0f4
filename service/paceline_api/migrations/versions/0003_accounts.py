"""Create accounts, and the tables of durable jobs."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


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
    # The whole schema at once: its history of scripts uses enum values before they are committed, which PostgreSQL
    # refuses below 17. Scripts of a newer procrastinate are a revision of their own.
    schema = SchemaManager.get_schema()
    # As a script, not as a statement: asyncpg prepares statements, and only one at a time.
    connection.run_async(lambda driver: driver.execute(schema))


def downgrade() -> None:
    raise NotImplementedError("jobs that wait would be lost: drop the tables procrastinate_* and accounts by hand")
