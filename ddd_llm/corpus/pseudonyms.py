"""Keyed pseudonyms in place of direct identifiers.

Belongs here: the replacement and its guarantees. Does not belong here: what counts as an identifier (`identifiers`).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from ddd_llm.corpus.identifiers import find
from ddd_llm.corpus.identity import keyed_digest

PSEUDONYMISER = "pseudonyms/1"
"""Changes when the same text and key would give another result."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One identifier that was replaced: its kind and its place in the text that was given, never its value."""

    kind: str
    start: int
    end: int


class Pseudonymiser:
    """Replaces identifiers by `<KIND_0123456789>`: ten hex digits of an HMAC-SHA256 over kind and canonical spelling.

    One identifier has one pseudonym under one key, in every document and run; another key gives another. Applying twice
    changes nothing. Nobody without the key can tell whether a pseudonym stands for a given identifier.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("a pseudonym key has at least 16 bytes")
        self._key = key
        self._known: dict[tuple[str, str], str] = {}

    def apply(self, text: str) -> tuple[str, list[Replacement]]:
        """The text with pseudonyms, and what was replaced, in order of place."""
        done: list[Replacement] = []
        lengths: list[int] = []
        # A replacement changes what stands beside the next number, so look again until nothing is found.
        while found := find(text):
            pieces, last = [], 0
            for one in found:
                pseudonym = self._pseudonym(one.kind, one.value)
                pieces += [text[last : one.start], pseudonym]
                last = one.end
            fresh = [Replacement(one.kind, *_place(one.start, one.end, done, lengths)) for one in found]
            text = "".join([*pieces, text[last:]])
            done = sorted([*done, *fresh], key=lambda replacement: replacement.start)
            lengths = [len(f"<{replacement.kind}_") + 11 for replacement in done]
        return text, done

    def _pseudonym(self, kind: str, value: str) -> str:
        known = self._known.get((kind, value))
        if known is None:
            known = f"<{kind}_{keyed_digest(self._key, f'pseudonym/{kind}', value)[:10]}>"
            self._known[(kind, value)] = known
        return known


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
