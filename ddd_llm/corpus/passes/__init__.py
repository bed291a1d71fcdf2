"""Optional passes beside deduplication: boilerplate, contamination, semantic duplicates, tags, poisoning."""
