"""The right to use documents: licences, consent, provenance records and opt-outs, judged before anything learns from them."""
