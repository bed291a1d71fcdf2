"""The union of all finders: nothing that Presidio or we find survives, on forms nobody tuned for, and with no network."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.privacy.detect import Detector
from ddd_llm.corpus.privacy.finds import Found, fold, settle
from ddd_llm.corpus.privacy.forms import luhn
from ddd_llm.corpus.privacy.policy import PrivacyPolicy
from ddd_llm.corpus.privacy.presidio import RECOGNIZERS, Presidio

DETECTOR = Detector(PrivacyPolicy())


def covered(text: str) -> set[int]:
    return {place for found in DETECTOR.find(text) for place in range(found.start, found.end)}


# An unseen set: forms and sentences made here, with check digits by code of our own.
def digits(source: random.Random, count: int) -> str:
    return "".join(source.choice("0123456789") for _ in range(count))


def card(source: random.Random) -> str:
    stem = source.choice(["4", "51", "55", "2221", "34", "6011"]) + digits(source, 12)
    length = 14 if stem.startswith("34") else 15
    stem = (stem + digits(source, 15))[:length]
    total = sum(int(d) if n % 2 else sum(divmod(2 * int(d), 10)) for n, d in enumerate(reversed(stem)))
    whole = stem + str(-total % 10)
    assert luhn(whole)
    return whole if source.random() < 0.5 or length == 14 else " ".join(whole[n : n + 4] for n in range(0, 16, 4))


def iban(source: random.Random) -> str:
    country, length = source.choice([("DE", 18), ("NL", 14), ("ES", 20), ("CH", 17)])
    body = ("ABNA" + digits(source, length - 4)) if country == "NL" else digits(source, length)
    check = 98 - int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    whole = f"{country}{check:02d}{body}"
    return whole if source.random() < 0.5 else " ".join(whole[n : n + 4] for n in range(0, len(whole), 4))


def nhs(source: random.Random) -> str:
    while True:
        stem = digits(source, 9)
        check = 11 - sum(int(d) * (10 - n) for n, d in enumerate(stem)) % 11
        if check != 10:
            whole = stem + str(check % 11)
            return source.choice([whole, f"{whole[:3]} {whole[3:6]} {whole[6:]}"])


def email(source: random.Random) -> str:
    user = source.choice(["mia.k", "o_brien", "x-ray+news", "jürgen", "sales77"])
    return f"{user}{source.randrange(99)}@{source.choice(['mail.corp-a.de', 'uni.ac.uk', 'firm.co', 'post.museum'])}"


MADE: dict[str, tuple[Callable[[random.Random], str], list[str]]] = {
    "email": (email, ["Reach me under {}", "cc: {}; thanks", "<{}>", "mailto:{}"]),
    "card": (card, ["Paid with {} yesterday", "Visa {}, exp 09/29", "charge {}"]),
    "iban": (iban, ["Wire to {} please", "IBAN: {}.", "({})"]),
    "nhs": (nhs, ["NHS number {}", "Her NHS no. is {}", "patient (NHS: {})"]),
    "phone_world": (lambda r: f"+{r.choice(['49 30', '33 1', '44 20'])} {r.choice(['7946 0958', '9018 2000', '4020 5050'])}",
                    ["ring {}", "Tel.: {}", "{} (mobile)"]),
    "phone_cue": (lambda r: f"{digits(r, 3)}-{digits(r, 4)}", ["Phone {}", "fax: {}", "my cell is {}", "call me at {}"]),
    "phone_us": (lambda r: f"({r.randrange(201, 203)}) {r.randrange(220, 990)}-{digits(r, 4)}", ["{}", "Office {}"]),
    "ssn": (lambda r: f"{r.randrange(100, 665)}-{r.randrange(10, 99)}-{r.randrange(1000, 9999)}",
            ["SSN {}", "her social is {}", "{}"]),
    "ip": (lambda r: f"{r.randrange(60, 99)}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(1, 255)}",
           ["from {}", "login at {}:443", "[{}]"]),
    "mac": (lambda r: ":".join(f"{r.randrange(1, 255):02x}" for _ in range(6)), ["hwaddr {}", "{} joined"]),
    "passport": (lambda r: r.choice(["C", "AB", ""]) + digits(r, 8), ["passport {}", "Passport no: {}", "passport number is {}"]),
    "licence": (lambda r: r.choice("ADK") + digits(r, 7), ["driving licence {}", "driver's license no. {}", "Driver license: {}"]),  # noqa: E501
    "nino": (lambda r: f"AB{digits(r, 6)}C", ["NI number {}", "{} is on file", "national insurance: {}"]),
    "account": (lambda r: digits(r, r.choice([8, 10])), ["account number {}", "my bank account: {}", "Acct no. {}"]),
    "birth": (lambda r: f"{r.randrange(1, 28)}/{r.randrange(1, 12)}/{r.randrange(1940, 2005)}",
              ["born on {}", "DOB: {}", "date of birth {}"]),
    "postcode": (lambda r: r.choice(["SW1A 1AA", "M1 1AE", "B0J 2H0", "K1A 0B1"]), ["London {}", "post code {}", "at {}."]),
    "zip": (lambda r: digits(r, 5), ["zip code: {}", "Austin, TX {}", "ZIP is {}", "my zip code is {}"]),
    "crypto": (lambda r: "0x" + "".join(r.choice("0123456789abcdef") for _ in range(40)), ["send to {}", "{}"]),
    "spelt": (lambda r: f"mia{r.randrange(99)} (at) corp (dot) de", ["write {}", "{}"]),
}  # fmt: skip


def test_little_of_a_set_nobody_tuned_for_leaks() -> None:
    source = random.Random(7)
    leaked: dict[str, int] = {}
    total = 0
    for kind, (make, frames) in MADE.items():
        for _ in range(40):
            value, frame = make(source), source.choice(frames)
            text = frame.format(value)
            start = text.index(value)
            total += 1
            wanted = {start + n for n, character in enumerate(value) if character.isalnum()}
            if not wanted <= covered(text):
                leaked[kind] = leaked.get(kind, 0) + 1
    assert sum(leaked.values()) <= 0.06 * total, leaked


SPELLINGS = [
    "jane.doe@corp.example", "a&b@firm.co.uk", "GB82WEST12345698765432", "GB82 WEST 1234 5698 7654 32", "AB123456C", "RSSMRA85T10A562S",  # noqa: E501
    "131052-308T", "X9613851N", "S1234567D", "1EG4-TE5-MK73", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "08:00:2b:01:02:03", "900101-1234567",
    "passport 912803456", "NHS 943 476 5919", "SSN 432-11-2345", "visa 4012888888881881", "pesel 44051401359", "tfn 876543210",
]  # fmt: skip
texts = st.lists(
    st.sampled_from([*SPELLINGS, " ", ", ", "\n", "x", "1", "@", "see "]) | st.text(max_size=4), max_size=8
).map("".join)


@given(texts)
def test_whatever_presidio_finds_by_form_is_covered(text: str) -> None:
    """The recognisers themselves, on the whole text and without our gates, are the judge."""
    folded, places = fold(text)
    names = [name for name, (_, evidence) in RECOGNIZERS.items() if evidence is not None]
    recognizers = Presidio(tuple(names))._recognizers
    ours = covered(text)
    for recognizer in recognizers.values():
        for result in recognizer.analyze(folded, recognizer.supported_entities, None):
            if result.score >= 0.4 and "\0" not in folded:
                where = range(result.start, result.end)
                wanted = {places[at] if places else at for at in where if folded[at].isalnum()}
                assert wanted <= ours, (recognizer.name, text)


finds = st.lists(
    st.builds(
        lambda a, n, s, k: Found(k, a, a + n, f"{k}{a}", s),
        st.integers(0, 60),
        st.integers(1, 20),
        st.integers(1, 4),
        st.sampled_from("AB"),
    ),
    max_size=12,
)


@given(finds)
def test_settled_finds_cover_all_without_overlap_and_the_strongest_names_its_place(given: list[Found]) -> None:
    settled = settle(given)
    assert all(one.end <= other.start for one, other in itertools.pairwise(settled))
    places = {place for found in given for place in range(found.start, found.end)}
    assert {place for found in settled for place in range(found.start, found.end)} == places
    if given:
        best = max(given, key=lambda one: (one.strength, one.end - one.start, -one.start))
        holder = [one for one in settled if one.start <= best.start and best.end <= one.end]
        assert len(holder) == 1 and holder[0].strength == best.strength


@pytest.mark.parametrize(
    "text",
    [
        "ｊａｎｅ＠ｃｏｒｐ．ｄｅ",
        "jane@co\u200brp.de",
        "ja\u00adne@corp.de",
        "SSN 432\u201111\u20112345",
        "phone +٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨",
        "IBAN DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
    ],
)
def test_disguised_spellings_are_found(text: str) -> None:
    assert DETECTOR.find(text)


@given(st.text(max_size=60))
def test_folding_keeps_places(text: str) -> None:
    folded, places = fold(text)
    if places is None:
        assert len(folded) == len(text)
    else:
        assert len(places) == len(folded) + 1 and places == sorted(places) and places[-1] == len(text)


def test_nothing_asks_the_network(tmp_path: Path) -> None:
    code = """
import socket, sys
class Blocked(socket.socket):
    def __init__(self, *a, **k): raise AssertionError("a socket was made")
socket.socket = Blocked
socket.create_connection = socket.getaddrinfo = lambda *a, **k: (_ for _ in ()).throw(AssertionError("network"))
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
text = "jane@corp-a.co.uk, passport 912803456, NHS 943 476 5919, +44 20 7946 0958, DE89370400440532013000, ghp_" + "a1" * 18
masked, replaced = Pseudonymiser(b"k" * 32).apply(text)
print(len(replaced), any(name.startswith("spacy.lang.") for name in sys.modules), "torch" in sys.modules)
"""
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environ.pop("TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS", None)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "6"


def test_transformers_is_not_loaded_to_find_an_address_and_can_be_loaded_later() -> None:
    code = """if True:
        import sys
        from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
        assert Pseudonymiser(b"k" * 32).apply("to ada@example.org")[1]
        assert "transformers" not in sys.modules
        from transformers import AutoConfig
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("DDD_LLM_DATA" not in os.environ, reason="needs the folder of data sets")
def test_structured_leak_on_presidio_pii_synth() -> None:
    file = Path(os.environ["DDD_LLM_DATA"]) / "presidio_pii_synth" / "data.jsonl.gz"
    structured = {
        "EMAIL_ADDRESS",
        "PHONE_NUMBER",
        "IBAN_CODE",
        "CREDIT_CARD",
        "IP_ADDRESS",
        "US_SSN",
        "US_DRIVER_LICENSE",
        "ZIP_CODE",
        "DOMAIN_NAME",
    }
    spans = leaked = 0
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            ours = covered(row["full_text"])
            for span in row["spans"]:
                if span["entity_type"] in structured:
                    places = range(span["start_position"], span["end_position"])
                    spans += 1
                    leaked += any(row["full_text"][at].isalnum() and at not in ours for at in places)
    assert spans > 300
    assert leaked <= 0.02 * spans
