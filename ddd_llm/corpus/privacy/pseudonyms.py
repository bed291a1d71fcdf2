"""Keyed pseudonyms and masks in place of personal data and secrets.

Belongs here: the replacement and its guarantees. Does not belong here: what counts as personal (`detect`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ddd_llm.corpus.identity import keyed_digest, load_key
from ddd_llm.corpus.privacy.detect import Detector
from ddd_llm.corpus.privacy.finds import Found
from ddd_llm.corpus.privacy.policy import Action, PrivacyPolicy


@dataclass(frozen=True, slots=True)
class Replacement:
    """One find that was replaced: its kind, its place in the text that was given, the form of a secret; never its value."""

    kind: str
    start: int
    end: int
    form: str = ""


class Pseudonymiser:
    """Replaces finds by `<KIND_0123456789>`, ten hex digits of an HMAC-SHA256 over kind and canonical spelling, or `<KIND>`.

    One identifier has one pseudonym under one key, in every document and run; another key gives another. Applying twice
    changes nothing. Nobody without the key can tell whether a pseudonym stands for a given identifier.
    """

    def __init__(self, key: bytes, policy: PrivacyPolicy | None = None, folder: Path | None = None) -> None:
        """Args: the key; the policy (default: its defaults); the folder that relative subject lists start from.

        Raises:
            ValueError: a key of fewer than 16 bytes.
            SubjectListError: a list that cannot be used.
        """
        if len(key) < 16:
            raise ValueError("a pseudonym key has at least 16 bytes")
        self._key = key
        self._policy = policy or PrivacyPolicy()
        self._folder = folder
        self._detector = Detector(self._policy, folder)

    def __reduce__(self) -> tuple[Callable[[bytes, str, Path | None], Pseudonymiser], tuple[bytes, str, Path | None]]:
        # Sent to another process as what it was made of: detectors hold what cannot be sent.
        return _remade, (self._key, self._policy.model_dump_json(), self._folder)

    def apply(self, text: str) -> tuple[str, list[Replacement]]:
        """The text with pseudonyms and masks, and what was replaced, in order of place. Raises NerUnavailable."""
        done: list[Replacement] = []
        lengths: list[int] = []
        # A replacement changes what stands beside the next number, so look again until nothing is found.
        while found := self._detector.find(text):
            pieces, last = [], 0
            fresh = []
            for one in found:
                token = self._token(one)
                pieces += [text[last : one.start], token]
                last = one.end
                fresh.append((Replacement(one.kind, *_place(one.start, one.end, done, lengths), one.form), len(token)))
            text = "".join([*pieces, text[last:]])
            both = sorted([*zip(done, lengths, strict=True), *fresh], key=lambda pair: pair[0].start)
            done = [replacement for replacement, _ in both]
            lengths = [length for _, length in both]
        return text, done

    def tag(self, text: str) -> str:
        """Ten hex digits that stand for a text under this key, for names that must differ but not be told."""
        return keyed_digest(self._key, "tag", text)[:10]

    def _token(self, found: Found) -> str:
        if self._policy.action(found.kind) is Action.MASK:
            return f"<{found.kind}>"
        return f"<{found.kind}_{keyed_digest(self._key, f'pseudonym/{found.kind}', found.value)[:10]}>"


@lru_cache(maxsize=1)
def _remade(key: bytes, policy: str, folder: Path | None) -> Pseudonymiser:
    # Once per process, however many parts of a table come with it.
    return Pseudonymiser(key, PrivacyPolicy.model_validate_json(policy), folder)


def pseudonymiser(policy: PrivacyPolicy, keys: Path, folder: Path) -> Pseudonymiser:
    """The pseudonymiser of a policy. Subject lists with relative paths stand in `folder`.

    Raises:
        KeyFileError: no usable key.
        SubjectListError: a list that cannot be used.
    """
    return Pseudonymiser(load_key(keys, policy.key_name), policy, folder)


def _place(start: int, end: int, done: list[Replacement], lengths: list[int]) -> tuple[int, int]:
    """Where a stretch of the changed text stood in the text that was given. It overlaps no pseudonym."""
    shift = 0
    starts_now: list[int] = []
    shifts: list[int] = [0]
    for replacement, length in zip(done, lengths, strict=True):
        starts_now.append(replacement.start + shift)
        shift += length - (replacement.end - replacement.start)
        shifts.append(shift)
    moved = shifts[bisect_left(starts_now, start)]
    return start - moved, end - moved
