"""Presidio's pattern recognisers, a curated set of them, each where there is evidence for it.

Belongs here: which recogniser stands for which kind, the evidence that calls it, its context words. Does not belong here:
forms of our own (`forms`, `cues`), models (`ner`).

No analyser engine and no language model is built: a recogniser's `analyze` needs none. Its patterns can take quadratic
time, and it skips a pattern that runs out of time with no more than a warning; so it only ever sees bounded stretches of
text. Left out, as measured on docstrings: recognisers that take code for identifiers (licence plates, German post codes,
dates, URLs, bank numbers), companies' numbers, and PhoneRecognizer, which `phones` replaces on the same library.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength, compact

MINIMUM_SCORE = 0.4
"""As Presidio's own `LemmaContextAwareEnhancer` has it (`min_score_with_context_similarity`)."""

CONTEXT_FACTOR = 0.35
"""What a context word adds (`context_similarity_factor` there)."""

# Kind, and a regular expression that any find of the recogniser matches; None: counts only beside a context word.
RECOGNIZERS: dict[str, tuple[Kind, str | None]] = {
    "EmailRecognizer": (Kind.EMAIL, r"@\w"),
    "CryptoRecognizer": (Kind.CRYPTO, r"(?:bc1|[13])[a-zA-Z0-9]{25,59}"),
    "IbanRecognizer": (Kind.IBAN, r"[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}"),
    "MacAddressRecognizer": (Kind.MAC, r"[0-9A-Fa-f]{2}[:-](?:[0-9A-Fa-f]{2}[:-]){4}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]"),  # noqa: E501
    "UkNinoRecognizer": (Kind.NATIONAL_ID, r"(?i)[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-Z]"),
    "ItFiscalCodeRecognizer": (Kind.TAX_ID, r"(?i)[A-Z]{6}[0-9LMNP-V]{2}[A-Z]"),
    "FiPersonalIdentityCodeRecognizer": (Kind.NATIONAL_ID, r"(?i)\d{6}[-+A-FU-Y]\d{3}"),
    "EsNieRecognizer": (Kind.NATIONAL_ID, r"(?i)\d{7}-?[A-Z]"),
    "SgFinRecognizer": (Kind.NATIONAL_ID, r"(?i)[A-Z]\d{7}[A-Z]"),
    "KrRrnRecognizer": (Kind.NATIONAL_ID, r"\d{6}-?[1-4]\d{6}"),
    "UsMbiRecognizer": (Kind.HEALTH_ID, r"(?i)\d[A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]"),
    **dict.fromkeys(("CreditCardRecognizer",), (Kind.CARD, None)),
    **dict.fromkeys(("UsSsnRecognizer",), (Kind.SSN, None)),
    **dict.fromkeys(
        ("InAadhaarRecognizer", "PlPeselRecognizer", "SePersonnummerRecognizer", "TrNationalIdRecognizer", "ThTninRecognizer",
         "ZaIdNumberRecognizer", "CaSinRecognizer", "EsNifRecognizer", "DeIdCardRecognizer", "ItIdentityCardRecognizer",
         "InVoterRecognizer", "NgNinRecognizer", "PhUmidRecognizer", "DeSocialSecurityRecognizer"),
        (Kind.NATIONAL_ID, None),
    ),
    **dict.fromkeys(
        ("UsItinRecognizer", "AuTfnRecognizer", "InPanRecognizer", "DeTaxIdRecognizer", "DeTaxNumberRecognizer",
         "PhTinRecognizer", "ZaIncomeTaxNumberRecognizer"),
        (Kind.TAX_ID, None),
    ),
    **dict.fromkeys(
        ("NhsRecognizer", "AuMedicareRecognizer", "MedicalLicenseRecognizer", "UsNpiRecognizer", "DeHealthInsuranceRecognizer",
         "UsHealthInsuranceMemberIdRecognizer"),
        (Kind.HEALTH_ID, None),
    ),
    **dict.fromkeys(
        ("UsPassportRecognizer", "UkPassportRecognizer", "InPassportRecognizer", "ItPassportRecognizer", "DePassportRecognizer",
         "EsPassportRecognizer", "KrPassportRecognizer", "PhPassportRecognizer", "ZaPassportRecognizer"),
        (Kind.PASSPORT, None),
    ),
    **dict.fromkeys(
        ("UsLicenseRecognizer", "UkDrivingLicenceRecognizer", "ItDriverLicenseRecognizer", "DeFuehrerscheinRecognizer",
         "KrDriverLicenseRecognizer"),
        (Kind.DRIVER_LICENCE, None),
    ),
    **dict.fromkeys(("UsBankRecognizer", "AbaRoutingRecognizer"), (Kind.BANK_ACCOUNT, None)),
}  # fmt: skip

_BEFORE, _AFTER = 96, 264
_WIDEST = 1024
_WORD = re.compile(r"[a-z]+")
# Each begins with its own sign: three such searches are quicker than one with a choice.
_HARDWARE = [
    re.compile(form)
    for form in (r":[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:", r"-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-", r"\.[0-9A-Fa-f]{4}\.")
]
_AT = re.compile(r"@\w")
# Forms that may have fewer digits than a window asks for, and a cheap search for them.
_OUTSIDE_NUMBERS: dict[str, Callable[[str], object]] = {
    "CryptoRecognizer": re.compile(r"[13][a-zA-Z0-9]{25}|bc1|BC1").search,
    "MacAddressRecognizer": lambda text: maybe_hardware(text),
}
# Context words of Presidio that stand in any technical text and prove nothing by themselves.
_IDLE = frozenset(
    [
        "id",
        "identifier",
        "number",
        "card",
        "account",
        "code",
        "check",
        "save",
        "personal",
        "plan",
        "member",
        "holder",
        "document",
        "documento",
        "key",
        "national",
        "us",
        "united",
        "states",
        "travel",
        "issue",
        "issued",
        "issuing",
        "date",
        "expiry",
        "expiration",
        "state",
        "country",
        "government",
        "federal",
        "license",
        "licence",
        "lic",
        "permit",
        "driver",
        "pass",
        "security",
        "policy",
        "certificate",
        "individual",
        "taxonomy",
        "association",
        "sin",
        "tin",
        "pan",
        "nas",
        "identification",
        "discover",
        "provider",
        "insurance",
        "medical",
        "social",
        "epic",
        "k",
        "n",
        "f",
        "st",
        "t",
        "no",
        "nr",
    ]
)


def maybe_hardware(text: str) -> bool:
    """Whether a hardware address may stand in the text."""
    return any(form.search(text) for form in _HARDWARE)


@dataclass(frozen=True)
class Presidio:
    """The recognisers of a policy, made once."""

    names: tuple[str, ...] = field(default_factory=lambda: tuple(RECOGNIZERS))

    def find(self, text: str, places: list[tuple[int, int]]) -> Iterator[Found]:
        """What the recognisers find with a score of .4 or more, a context word's share included.

        Args:
            text: folded text.
            places: its `cues.windows`. A context word counts within the window of a number.
        """
        if "@" in text and "EmailRecognizer" in self.names:
            for start, end in _stretches(_AT.finditer(text), len(text)):
                yield from self._run("EmailRecognizer", text, start, end, 0.0)
        loose = self._evidence
        for name, hint in _OUTSIDE_NUMBERS.items():
            if name in loose and hint(text):
                for start, end in _stretches(loose[name].finditer(text), len(text)):
                    yield from self._run(name, text, start, end, 0.0)
        for start, end in places:
            for begin in range(start, end, _WIDEST - _AFTER):
                yield from self._in_window(text, begin, min(end, begin + _WIDEST))

    @cached_property
    def _recognizers(self) -> dict[str, Any]:
        return {name: _recognizer(name) for name in self.names}

    @cached_property
    def _evidence(self) -> dict[str, re.Pattern[str]]:
        return {name: re.compile(form) for name in self.names if (form := RECOGNIZERS[name][1]) is not None}

    @cached_property
    def _contexts(self) -> dict[str, list[tuple[str, str]]]:
        """First word of a context phrase to (phrase, recogniser)."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name in self.names:
            if RECOGNIZERS[name][1] is None:
                for phrase in dict.fromkeys(str(one).lower() for one in self._recognizers[name].context or ()):
                    words = _WORD.findall(phrase)
                    if words and not set(words) <= _IDLE:
                        found.setdefault(words[0], []).append((phrase, name))
        return found

    def _in_window(self, text: str, start: int, end: int) -> Iterator[Found]:
        for name, evidence in self._evidence.items():
            if name not in _OUTSIDE_NUMBERS and name != "EmailRecognizer" and evidence.search(text, start, end):
                yield from self._run(name, text, start, end, 0.0)
        beside = text[start:end].lower()
        names: dict[str, None] = {}
        for word in dict.fromkeys(_WORD.findall(beside)):
            for phrase, name in self._contexts.get(word, ()):
                if len(phrase) == len(word) or phrase in beside:
                    names[name] = None
        for name in names:
            yield from self._run(name, text, start, end, CONTEXT_FACTOR)

    def _run(self, name: str, text: str, start: int, end: int, context: float) -> Iterator[Found]:
        recognizer, kind = self._recognizers[name], RECOGNIZERS[name][0]
        for result in recognizer.analyze(text[start:end], recognizer.supported_entities, None):
            score = max(result.score + context, MINIMUM_SCORE) if context else result.score
            spelling = text[start + result.start : start + result.end]
            if score < MINIMUM_SCORE or (context and not any(character.isdigit() for character in spelling)):
                continue
            strength = Strength.CHECKED - 2 if result.score >= 1 else Strength.PATTERN + 1
            value = spelling.lower() if kind is Kind.EMAIL else spelling if kind is Kind.CRYPTO else compact(spelling)
            if kind is Kind.MAC:
                value = value.lower()
            yield Found(kind, start + result.start, start + result.end, value, strength)


def _stretches(matches: Iterable[re.Match[str]], length: int) -> Iterator[tuple[int, int]]:
    """Bounded stretches round matches. Each match stands whole in one of them, with 96 characters before and 264 after."""
    start = end = -1
    for match in matches:
        if end >= 0 and match.end() + _AFTER - start <= _WIDEST and match.start() - _BEFORE <= end:
            end = match.end() + _AFTER
            continue
        if end >= 0:
            yield start, min(end, length)
        start, end = max(0, match.start() - _BEFORE), match.end() + _AFTER
    if end >= 0:
        yield start, min(end, length)


@cache
def _recognizer(name: str) -> Any:
    """One of Presidio's. That for e-mail asks tldextract, which would fetch a list of suffixes: here it has the packaged one."""
    predefined_recognizers = _predefined()
    if name != "EmailRecognizer":
        return getattr(predefined_recognizers, name)()
    from tldextract import TLDExtract

    extract = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(predefined_recognizers.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return extract(pattern_text).fqdn != ""

    return OfflineEmailRecognizer(name=name)


@cache
def _predefined() -> Any:
    """Presidio's module of recognisers. Where transformers is there it would be loaded too, four seconds for nothing here."""
    absent: dict[str, Any] = {} if "transformers" in sys.modules else {"transformers": None}
    sys.modules.update(absent)  # Presidio does without what cannot be imported
    try:
        from presidio_analyzer import predefined_recognizers
    finally:
        for name in absent:
            del sys.modules[name]
    return predefined_recognizers
