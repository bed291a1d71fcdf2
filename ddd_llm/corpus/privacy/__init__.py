"""Personal data and secrets in text: finding them, and what stands in their place.

Belongs here: detection by form, check digit and cue (`forms`, `phones`, `cues`), Presidio's recognisers (`presidio`),
secrets (`secrets`), declared people (`subjects`), an optional NER model (`ner`), their union (`detect`), the policy
(`policy`) and the replacement (`pseudonyms`). Does not belong here: which documents may be used (`governance`).

Roles. A pseudonym is an HMAC-SHA256 under a key that lives outside the store. Whoever holds the key can recompute the
pseudonym of an identifier he already has, and so tell whether and where it occurs; nothing turns a pseudonym back into an
identifier, no table of pairs is kept, and nobody without the key can test a guess. The key's holder is therefore the one
who can link records to people (GDPR, Art. 4(5): the additional information kept separately); readers of the store, the
corpus and the models are not. Masks cannot be linked by anybody.
"""
