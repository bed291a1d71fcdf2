"""Tests of the annotation page."""
