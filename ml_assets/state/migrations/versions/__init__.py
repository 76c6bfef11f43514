"""One revision of the schema a file, run in order by Alembic."""
