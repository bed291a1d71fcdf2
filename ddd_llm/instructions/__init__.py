"""Curated corpus to instruction dataset: pairs of question and answer that a program can check."""
