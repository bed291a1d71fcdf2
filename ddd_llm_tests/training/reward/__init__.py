"""Tests of `ddd_llm.training.reward`."""
