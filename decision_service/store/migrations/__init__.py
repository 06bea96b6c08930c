"""Alembic environment: the schema of the store, revision by revision."""
