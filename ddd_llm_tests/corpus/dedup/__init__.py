"""Tests of ddd_llm.corpus.dedup."""
