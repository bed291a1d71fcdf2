"""The corpus policies that people edit, read from `assets/policies/`."""

from __future__ import annotations

from ddd_llm.corpus.dedup.leader import DedupPolicy
from ddd_llm.corpus.quality import CurationPolicy
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings


def dedup_policy(settings: Settings) -> DedupPolicy:
    """`assets/policies/dedup.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "dedup.yaml", DedupPolicy)


def curation_policy(settings: Settings) -> CurationPolicy:
    """`assets/policies/curation.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "curation.yaml", CurationPolicy)
