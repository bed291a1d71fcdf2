"""Lineage answers from the store alone: list, trace, verify, documents, impact. Imports no Dagster."""
