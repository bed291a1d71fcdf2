"""Evaluation: the same held-out questions through every model, paired deltas with intervals, and the gate that decides."""
