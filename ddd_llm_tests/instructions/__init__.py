"""Tests of the instructions stage."""
