"""What governance asks of an installation's files: permissions and pseudonyms, and what of them goes into a fingerprint.

Here: putting `rights.load` and `privacy` together, for documents and for whatever else is to be learned from. Not here:
the judgement (`governance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ddd_llm.corpus.capture import key_fingerprint
from ddd_llm.corpus.policies import privacy_policy
from ddd_llm.corpus.privacy.policy import privacy_state
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser, pseudonymiser
from ddd_llm.corpus.rights.load import permissions_of, rights_config
from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.sources import Governed
from ddd_llm.platform.settings import Settings


def governance_config(settings: Settings, sources: Sequence[Governed] | None = None) -> dict[str, Any]:
    """All that decides what may be learned from, and in what form.

    Args:
        sources: whose rights, default all of the sources file.

    Raises:
        InputError: a file that does not say what it must, or is not there.
    """
    return {**rights_config(settings, sources=sources), **privacy_config(settings)}


def privacy_config(settings: Settings) -> dict[str, Any]:
    """The part of it that decides what stands in place of identifiers. Raises InputError."""
    privacy = privacy_policy(settings)
    return {
        "privacy": privacy_state(privacy, settings.keys, settings.assets / "policies"),
        "pseudonym_key": key_fingerprint(settings, privacy.key_name),
    }


def masks_of(settings: Settings) -> Pseudonymiser:
    """The pseudonyms of an installation. Raises InputError, SubjectListError."""
    return pseudonymiser(privacy_policy(settings), settings.keys, settings.assets / "policies")


def governors(
    settings: Settings, config: Mapping[str, Any], sources: Sequence[Governed] | None = None
) -> tuple[Permissions, Pseudonymiser]:
    """The permissions and the pseudonyms that a config (`governance_config`, of the same sources) stands for.

    Raises:
        InputError: as `governance_config`, or a file has changed since the config was made.
    """
    return permissions_of(settings, config, sources), masks_of(settings)
