"""Tests of `ddd_llm.training.rlhf`."""
