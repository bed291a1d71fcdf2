"""Report pages of the corpus assets, one module each. Documents appear on pages only after pseudonymisation."""
