"""Tests of the optional passes beside deduplication."""
