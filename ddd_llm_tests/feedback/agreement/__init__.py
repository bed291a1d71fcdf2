"""Tests of `ddd_llm.feedback.agreement`."""
