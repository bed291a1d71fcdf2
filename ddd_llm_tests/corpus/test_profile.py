"""The corpus profile equals a second, plain count of the rows."""

from __future__ import annotations

import binascii
import json
import re
from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.profile import profile

COLUMNS = ("source", "language", "licence", "media_type", "date", "text")
rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["en", "und", None]),
        st.sampled_from(["MIT", "BSD-3-Clause", None]),
        st.sampled_from(["text/plain", None]),
        st.sampled_from(["2024-05-01", "2023-01", "2024", "soon", None]),
        st.one_of(st.none(), st.text(alphabet="ab c.1é\n", max_size=80)),
    ),
    max_size=25,
)


def table(given_rows: list[tuple[str | None, ...]]) -> pa.Table:
    columns = list(zip(*given_rows, strict=True)) if given_rows else [()] * len(COLUMNS)
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(COLUMNS, columns, strict=True)})


def recount(given_rows: list[tuple[str | None, ...]], edges: dict[str, list[int]]) -> dict[str, Any]:
    words = [re.findall(r"\w+", (row[5] or "").lower()) for row in given_rows]
    buckets = [0] * 1024
    for word in (word for found in words for word in found):
        buckets[binascii.crc32(word.encode("utf-8")) % 1024] += 1

    def shares(place: int) -> dict[str, int]:
        return dict(Counter(row[place] or "unknown" for row in given_rows))

    def cells(lengths: list[int], limits: list[int]) -> list[int]:
        tops = [*limits[1:], float("inf")]
        return [sum(low <= n < top for n in lengths) for low, top in zip(limits, tops, strict=True)]

    characters = [len(row[5] or "") for row in given_rows]
    return {
        "documents": len(given_rows),
        "words": sum(map(len, words)),
        "characters": sum(characters),
        "languages": shares(1),
        "licences": shares(2),
        "media_types": shares(3),
        "years": dict(
            Counter((row[4] or "")[:4] if re.match(r"\d{4}-", row[4] or "") else "unknown" for row in given_rows)
        ),
        "length_in_words": cells(list(map(len, words)), edges["words"]),
        "length_in_characters": cells(characters, edges["characters"]),
        "token_buckets": buckets,
    }


@settings(max_examples=60)
@given(rows)
def test_profile_is_a_plain_count(given_rows: list[tuple[str | None, ...]]) -> None:
    found = profile(table(given_rows))
    assert json.loads(json.dumps(found)) == found
    edges = found["edges"]
    for part, mine in [(found, given_rows)] + [
        (found["sources"][name], [row for row in given_rows if (row[0] or "unknown") == name])
        for name in found["sources"]
    ]:
        expected = recount(mine, edges)
        assert {name: part[name] for name in expected} == expected
    assert set(found["sources"]) == {row[0] or "unknown" for row in given_rows}


def test_the_order_of_rows_does_not_matter_and_dates_may_be_absent() -> None:
    given_rows: list[tuple[str | None, ...]] = [
        ("b", "en", "MIT", "text/plain", "2024-05-01", "One two."),
        ("a", "de", "MIT", "text/plain", None, "Eins zwei drei."),
    ]
    documents = table(given_rows)
    assert json.dumps(profile(documents)) == json.dumps(profile(documents.take(pa.array([1, 0]))))
    assert profile(documents.drop_columns(["date"]))["years"] == {"unknown": 2}


def test_scripts_without_spaces_have_tokens() -> None:
    assert profile(table([("a", "zh", "MIT", "text/plain", None, "返回队列")]))["words"] == 4
