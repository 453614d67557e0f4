"""Alembic's scripts; `paceline_api.migrate` runs them."""
