"""Everything that is looked for in a text, in one pass.

Belongs here: the union of all finders, and the order of the cheap searches that call them. Does not belong here: a form
(`forms`, `phones`, `cues`, `secrets`, `presidio`), what stands in a find's place (`pseudonyms`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from ddd_llm.corpus.privacy import cues, forms
from ddd_llm.corpus.privacy.finds import TOKEN, Found, Kind, fold, settle, unfold
from ddd_llm.corpus.privacy.ner import Ner
from ddd_llm.corpus.privacy.phones import phones
from ddd_llm.corpus.privacy.policy import Action, PrivacyPolicy
from ddd_llm.corpus.privacy.presidio import Presidio, maybe_hardware
from ddd_llm.corpus.privacy.secrets import secrets
from ddd_llm.corpus.privacy.subjects import SubjectMatcher, read_subjects

_COLONS = re.compile(r":[0-9a-fA-F]{0,4}:[0-9a-fA-F]")
_QUAD = re.compile(r"[0-9]\.\d{1,3}\.\d{1,3}\.\d")
_DIGIT = re.compile(r"[0-9]")  # a folded text has no others
_CRYPTO = re.compile(r"(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])")


class Detector:
    """The finders of one policy. Kinds that the policy keeps are not looked for further."""

    def __init__(self, policy: PrivacyPolicy, folder: Path | None = None) -> None:
        """Args: `policy`, and the folder that relative paths of its subject lists start from.

        Raises:
            SubjectListError: a list that cannot be used.
        """
        self._kept = frozenset(kind for kind in Kind if policy.action(kind) is Action.KEEP)
        self._regions = policy.phone_regions
        self._hosts = frozenset(host.lower() for host in policy.public_hosts)
        self._presidio = Presidio(policy.presidio)
        self._ner = Ner(policy.ner.model, policy.ner.labels) if policy.ner else None
        people = [person for path in policy.subject_lists(folder or Path()) for person in read_subjects(path)]
        self._subjects = SubjectMatcher(people) if people else None

    def find(self, text: str) -> list[Found]:
        """Finds in order, without overlap, none inside a pseudonym or mask. Raises NerUnavailable."""
        folded, places = fold(text)
        barriers: list[tuple[int, int]] = []
        if "<" in folded:
            barriers = [match.span() for match in TOKEN.finditer(folded)]
            if barriers:  # NUL stands in no document, is no blank and no part of any form
                folded = TOKEN.sub(lambda match: "\0" * len(match[0]), folded)
        found = [one for one in self._all(folded) if one.kind not in self._kept]
        if not found:
            return []
        if barriers:
            found = [piece for one in found for piece in _outside(one, barriers, folded)]
        return unfold(settle(found), places)

    def structured(self, text: str) -> Iterator[Found]:
        """Finds by form, check digit and cue, as they come, in a folded text."""
        lowered = text.lower()
        if "@" in text:
            yield from forms.emails(text)
        if "(at)" in lowered or "[at]" in lowered or " dot " in lowered or "(@)" in lowered or "{at}" in lowered:
            yield from forms.spelt_emails(text)
        if ("://" in text or "www." in lowered) and Kind.WEBSITE not in self._kept:
            yield from forms.websites(text, self._hosts)
        if _COLONS.search(text) or _QUAD.search(text):
            yield from forms.addresses(text)
        if maybe_hardware(text):
            yield from forms.hardware(text)
        places: list[tuple[int, int]] = []
        if _DIGIT.search(text):
            places = cues.windows(text)
            yield from self._numbers(text, places)
            yield from cues.births(text, lowered)
            yield from cues.postcodes(text, lowered)
            yield from cues.streets(text)
        yield from self._presidio.find(text, places)

    def _numbers(self, text: str, places: list[tuple[int, int]]) -> Iterator[Found]:
        for start, end in places:
            yield from forms.cards(text, start, end)
            yield from forms.social_security(text, start, end)
            yield from phones(text, start, end, self._regions)
            yield from forms.ibans(text, start, end)
            yield from cues.documents(text, start, end)
        if "0x" in text:
            for match in _CRYPTO.finditer(text):
                yield Found(Kind.CRYPTO, match.start(), match.end(), match[0].lower())

    def _all(self, text: str) -> Iterator[Found]:
        yield from secrets(text)
        yield from self.structured(text)
        if self._subjects:
            yield from self._subjects.find(text)
        if self._ner:
            yield from self._ner.find(text)


def _outside(found: Found, barriers: list[tuple[int, int]], text: str) -> Iterator[Found]:
    """What of a find stands outside pseudonyms and masks: the whole find, or its pieces that say anything."""
    pieces, start = [], found.start
    for number in range(bisect_right(barriers, found.start, key=itemgetter(1)), len(barriers)):
        begin, end = barriers[number]
        if begin >= found.end:
            break
        pieces.append((start, begin))
        start = end
    pieces.append((start, found.end))
    if len(pieces) == 1:
        yield found
        return
    for start, end in pieces:
        if start < end and any(character.isalnum() for character in text[start:end]):
            yield Found(found.kind, start, end, text[start:end].casefold(), found.strength, found.form)
