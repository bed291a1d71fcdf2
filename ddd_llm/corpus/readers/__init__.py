"""One module per input format; each yields items and refusals."""
