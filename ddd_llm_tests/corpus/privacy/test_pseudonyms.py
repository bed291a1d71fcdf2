"""Direct identifiers become keyed pseudonyms; numbers of other kinds stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddd_llm.corpus.privacy.detect import Detector
from ddd_llm.corpus.privacy.policy import PrivacyPolicy
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser

PSEUDONYM = re.compile(r"<(EMAIL|PHONE|IBAN|CARD|IP|SSN)_[0-9a-f]{10}>")
MASK = Pseudonymiser(b"k" * 32)
find = Detector(PrivacyPolicy()).find

# Published test numbers and made-up identifiers.
IDENTIFIERS = {
    "EMAIL": [
        "jane.doe@example.org",
        "Jane+tag@mail.example.co.uk",
        "j\u00fcrgen@b\u00fccher.example.com",
        "o'neil@x.io",
    ],
    "PHONE": [
        "+44 20 7946 0958",
        "+49 (30) 901820",
        "+1-202-456-1414",
        "(202) 456-1414",
        "202-456-1414",
        "0044 20 7946 0958",
    ],
    "IBAN": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606"],
    "CARD": ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005", "6011111111111117"],
    "IP": ["88.198.54.10", "2a00:1450:4001:81b::200e", "2001:4860:4860:0000:0000:0000:0000:8888"],
}
FRAMES = ["{}", "Write to {}.", "({})", "<{}>", "at {}, please", "first\n{}\nlast", '"{}"', "{}; or else"]

HARMLESS = [
    "version 1.2.3.4 of 10.0.19.1",
    "array([[0.12345678, 0.98765432], [1234567, 89012345]])",
    "2021-03-04 12:34:56.789 and 20210304123456",
    "ISBN 978-3-16-148410-0, doi:10.1109/5.771073, arXiv:1706.03762",
    "a @ b.T, x@y.T and x @ self.weight.transpose(0, 1)",
    "@property\ndef f(self): ...",
    "18446744073709551615 and -9223372036854775808",
    "0.4111111111111111",
    "127.0.0.1, 192.168.1.77, 10.20.30.40, ::1, fe80::1, 255.255.255.255",
    "x[::2], dict[str, int]::method, 12:34:56:78",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "300 400 5000\n234 567 8901",
    "4111 1111 1111 1112",
    "GB82 WEST 1234 5698 7654 33",
    "id 123-45-6789 of a part",
    "+1.2345678901e+10 or +0012345",
    "00112233445566778899aabbccddeeff",
    "seconds since 1600000000000, 1600000000000000000 ns",
]

identifiers = st.sampled_from([value for values in IDENTIFIERS.values() for value in values])
numbers = st.from_regex(r"[+(]?[0-9][0-9 ().:-]{3,24}", fullmatch=True)
words = st.sampled_from(
    ["phone: ", "Fax ", " office", "SSN ", "x", "@", ".", " ", "\n", "<EMAIL_0123456789>", "123-45-6789", "call me on "]
)
texts = st.lists(identifiers | numbers | words | st.text(max_size=5), max_size=8).map("".join)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in IDENTIFIERS.items() for value in values])
def test_identifiers_are_replaced_whole(kind: str, value: str, frame: str) -> None:
    text = frame.format(value)
    masked, replaced = MASK.apply(text)
    assert [one.kind for one in replaced] == [kind]
    assert text[replaced[0].start : replaced[0].end] == value
    assert PSEUDONYM.sub("*", masked) == frame.format("*")


@pytest.mark.parametrize("text", HARMLESS)
def test_other_numbers_stay(text: str) -> None:
    assert MASK.apply(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Phone: 0490 75 40 81", "Phone: *"),
        ("Fax: 463-6189", "Fax: *"),
        ("416 60 039 office", "* office"),
        ("call me on 9472 7916, thanks", "call me on *, thanks"),
        ("My SSN is 123-45-6789", "My SSN is *"),
        ("Social Security Number: 123 45 6789.", "Social Security Number: *."),
        ("SSN 000-12-3456 and 666-65-4321", "SSN 000-12-3456 and 666-65-4321"),
    ],
)
def test_a_word_beside_a_number_is_evidence(text: str, masked: str) -> None:
    assert PSEUDONYM.sub("*", MASK.apply(text)[0]) == masked


@given(texts)
@example("SSN 123-45-6789 " + "x" * 50 + " 123-45-6780")
@example("phone: phone: +44 20 7946 0958 0490 75 40 81")
def test_applying_twice_changes_nothing(text: str) -> None:
    masked, _ = MASK.apply(text)
    assert MASK.apply(masked) == (masked, [])
    assert find(masked) == []


@given(texts)
def test_places_are_those_of_the_text_given_and_the_rest_is_untouched(text: str) -> None:
    masked, replaced = MASK.apply(text)
    rebuilt, last = "", 0
    for one in replaced:
        assert last <= one.start < one.end <= len(text)
        rebuilt += re.escape(text[last : one.start]) + rf"<{one.kind}_[0-9a-f]{{10}}>"
        last = one.end
    assert re.fullmatch(rebuilt + re.escape(text[last:]), masked, re.DOTALL)


@given(identifiers, identifiers)
def test_one_identifier_has_one_pseudonym_per_key(one: str, other: str) -> None:
    again, other_key = Pseudonymiser(b"k" * 32), Pseudonymiser(b"q" * 32)
    assert again.apply(f"to {one}")[0] == MASK.apply(f"to {one}")[0]
    assert other_key.apply(one)[0] != MASK.apply(one)[0]
    same = [(found.kind, found.value) for found in find(one)] == [(found.kind, found.value) for found in find(other)]
    assert (MASK.apply(one)[0] == MASK.apply(other)[0]) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jane.Doe@Example.org", "jane.doe@example.org"),
        ("+44 20 7946 0958", "0044 20 7946 0958"),
        ("(202) 456-1414", "+1-202-456-1414"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("4111-1111-1111-1111", "4111111111111111"),
        ("2001:4860:4860:0:0:0:0:8888", "2001:4860:4860::8888"),
    ],
)
def test_spellings_of_one_identifier_agree(one: str, other: str) -> None:
    assert MASK.apply(one)[0] == MASK.apply(other)[0]


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError):
        Pseudonymiser(b"short")


@pytest.mark.parametrize(
    "text", ["@" * 20_000, "1 " * 20_000, "1" * 20_000, "a.b@" * 10_000, "1:" * 20_000, "+1" * 20_000]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    """Quadratic scanning of these would take minutes and run into the suite's timeout."""
    MASK.apply(text * 5)
