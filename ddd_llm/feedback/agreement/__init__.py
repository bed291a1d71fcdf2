"""How far annotators agree, how well each of them labels, and where disagreement comes from."""
