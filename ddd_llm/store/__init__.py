"""The artifact store, heart of the product: immutable objects and records, attestations, heads. Knows no stage."""
