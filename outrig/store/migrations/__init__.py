"""Alembic's entry point and, in `versions`, a file for each step of the schema. A released step never changes."""
