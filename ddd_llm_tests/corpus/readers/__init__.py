"""Tests of `ddd_llm.corpus.readers`."""
