"""Alembic's migrations of the index; ``env.py`` is run by Alembic, revisions are in ``versions``."""
