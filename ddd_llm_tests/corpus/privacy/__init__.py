"""Tests of `ddd_llm.corpus.privacy`."""
