"""Create the products, a thousand of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The same rows on every machine: prices and names follow from the number alone.
_SEED = """
INSERT INTO products (name, category, price_cents)
SELECT adjectives.list[1 + n % 8] || ' ' || nouns.list[1 + n % 9] || ' No. ' || n,
       categories.list[1 + n % 10],
       199 + (n * 7919) % 49800
FROM generate_series(1, 1000) AS n,
     (VALUES (ARRAY['Plain', 'Swift', 'Quiet', 'Bright', 'Sturdy', 'Small', 'Grand', 'Old'])) AS adjectives (list),
     (VALUES (ARRAY['Lamp', 'Kettle', 'Chair', 'Radio', 'Compass', 'Blanket', 'Clock', 'Ladder', 'Mirror']))
         AS nouns (list),
     (VALUES (ARRAY['Books', 'Garden', 'Games', 'Kitchen', 'Light', 'Music', 'Office', 'Sport', 'Tools', 'Travel']))
         AS categories (list)
"""


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("price_cents", sa.Integer, nullable=False),
    )
    op.create_index("products_category", "products", ["category"])
    op.execute(_SEED)


def downgrade() -> None:
    op.drop_table("products")
