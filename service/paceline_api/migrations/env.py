"""Alembic's entry: runs the revisions on the connection that `paceline_api.migrate` hands over."""

from alembic import context

from paceline_api.models import Base, is_ours

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours)
context.run_migrations()
