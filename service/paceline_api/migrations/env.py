"""Alembic's entry: runs the revisions on the connection that `paceline_api.migrate` hands over."""

from alembic import context

from paceline_api.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
