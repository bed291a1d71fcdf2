"""The corpus policies that people edit, read from `assets/policies/`."""

from __future__ import annotations

from typing import Any

from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.filters.policy import CurationPolicy
from ddd_llm.corpus.passes.policy import PassesPolicy, evaluation_digests
from ddd_llm.corpus.privacy.policy import PrivacyPolicy
from ddd_llm.corpus.rights.policy import RightsPolicy
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings


def dedup_policy(settings: Settings) -> DedupPolicy:
    """`assets/policies/dedup.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "dedup.yaml", DedupPolicy)


def curation_policy(settings: Settings) -> CurationPolicy:
    """`assets/policies/curation.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "curation.yaml", CurationPolicy)


def rights_policy(settings: Settings) -> RightsPolicy:
    """`assets/policies/rights.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "rights.yaml", RightsPolicy)


def passes_policy(settings: Settings) -> PassesPolicy:
    """`assets/policies/passes.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "passes.yaml", PassesPolicy)


def passes_config(settings: Settings) -> dict[str, Any]:
    """The passes' part of an asset's config: the policy, and the digests of the evaluation sets. Raises InputError."""
    policy = passes_policy(settings)
    return {
        "policy": policy.model_dump(mode="json"),
        "evaluation_sets": evaluation_digests(policy, settings.assets),
    }


def privacy_policy(settings: Settings) -> PrivacyPolicy:
    """`assets/policies/privacy.yaml`. Raises InputError."""
    return load_yaml(settings.assets / "policies" / "privacy.yaml", PrivacyPolicy)
