"""Fine-grained RLHF: proximal policy optimisation with rewards at the ends of segments, from several sources at once."""
