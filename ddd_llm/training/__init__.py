"""Supervised fine-tuning: the pinned base model, the training worker, and what proves what it did."""
