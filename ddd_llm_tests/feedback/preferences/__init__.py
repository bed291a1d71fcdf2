"""Tests of `ddd_llm.feedback.preferences`."""
