"""Tests of the feedback stage."""
