"""From raw documents to a deduplicated, curated corpus."""
