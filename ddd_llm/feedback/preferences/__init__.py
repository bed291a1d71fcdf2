"""Preference pairs: where they come from, what is wrong with them, and which may be trained on."""
