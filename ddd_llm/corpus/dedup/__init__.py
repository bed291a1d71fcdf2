"""Deduplication: MinHash signatures, LSH candidates, exact Jaccard, greedy leaders."""
