"""Policies as data: reading rules, compiling conditions, deciding. Nothing here writes to the database."""
