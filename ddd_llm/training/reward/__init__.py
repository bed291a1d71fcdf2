"""Reward models: a score at the end of every segment of an answer, or of the whole, learnt from span feedback or preferences."""
