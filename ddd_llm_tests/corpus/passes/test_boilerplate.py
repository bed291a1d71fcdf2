"""Shared paragraphs go, everything else stays, byte for byte."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.filters.document import DOCSTRING
from ddd_llm.corpus.passes import blocks
from ddd_llm.corpus.passes.boilerplate import REASON, RULE, remove_boilerplate
from ddd_llm.corpus.passes.paragraphs import code, hashes, key, spans
from ddd_llm.corpus.passes.policy import BoilerplatePolicy
from ddd_llm.corpus.text import normalise
from ddd_llm_tests.corpus.passes.helpers import documents

NOTICE = "This file is part of a program that comes without any warranty at all, see the licence."
FEW = BoilerplatePolicy(more_than_documents=2, least_sources=1, least_characters=10)

texts = st.text("aAbÉ中 \n\n\n\t\u00a0\u2003\u3000\u2028\u0085\x1c\x01\U0001f680", max_size=40)


@given(st.lists(texts, max_size=6))
def test_kernel_finds_the_paragraphs_of_the_definition(found: list[str]) -> None:
    values, sizes, rows, places = hashes(pa.array(found, pa.large_string()))
    expected = [(r, p, key(text[b:e])) for r, text in enumerate(found) for p, (b, e) in enumerate(spans(text))]
    assert list(zip(rows.tolist(), places.tolist(), strict=True)) == [(r, p) for r, p, _ in expected]
    assert sizes.tolist() == [len(words) for _, _, words in expected]
    assert len(set(values.tolist())) == len({words for _, _, words in expected})
    assert len(set(zip(values.tolist(), (w for _, _, w in expected), strict=True))) == len(set(values.tolist()))


PARAGRAPHS = [
    "The first shared paragraph.",
    "A second  shared\nparagraph!",
    "Something else entirely.",
    "short",
    "Fourth and last one",
]


@given(
    st.lists(st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=5), max_size=9),
    st.sampled_from(["first", "none"]),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_as_a_plain_count_has_it(bodies: list[list[str]], keep: str, most: int, sources: int) -> None:
    policy = BoilerplatePolicy(
        more_than_documents=most,
        least_sources=sources,
        least_share=1,
        least_characters=10,
        keep=keep,  # type: ignore[arg-type]
    )
    given_texts = ["\n\n".join(body) for body in bodies]
    table = documents(given_texts, [f"s{i % 2}" for i in range(len(bodies))])
    outcome = remove_boilerplate(table, policy)
    expected, dropped, changed, seen = {}, [], [], set()
    for i, body in enumerate(bodies):
        left = []
        here = set()
        for one in body:
            holders = [n for n, other in enumerate(bodies) if one in other]
            wide = len({n % 2 for n in holders}) >= sources or len(holders) == len(bodies)
            if len(one) >= 10 and len(holders) > most and wide and (keep == "none" or one in seen):
                continue
            here.add(one)
            left.append(one)
        seen |= here
        if left:
            expected[f"d{i}"] = "\n\n".join(left)
            changed += [f"d{i}"] * (left != body)
        else:
            dropped.append(f"d{i}")
    assert (
        dict(zip(outcome.documents["id"].to_pylist(), outcome.documents["text"].to_pylist(), strict=True)) == expected
    )
    assert outcome.decisions["id"].to_pylist() == dropped
    assert set(outcome.decisions["reason"].to_pylist()) <= {REASON}
    assert outcome.found["id"].to_pylist() == changed
    assert all(rules == [RULE] for rules in outcome.found["rules"].to_pylist())
    assert outcome.documents.schema == table.schema


def test_result_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = documents(
        [f"{NOTICE}\n\nDocument number {i} says this.\n\n{'Sée  also thé index ' * (i % 3)}" for i in range(30)]
    )
    whole = remove_boilerplate(table, FEW)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    cut = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
    again = remove_boilerplate(cut, FEW)
    assert again.documents.equals(whole.documents)
    assert again.found.equals(whole.found)
    assert whole.documents["text"][0].as_py().startswith(NOTICE)
    assert whole.documents["text"][1].as_py() == "Document number 1 says this.\n\nSée  also thé index"


def test_a_document_of_boilerplate_alone_is_dropped() -> None:
    outcome = remove_boilerplate(
        documents([NOTICE, NOTICE.upper(), f"  {NOTICE}\n", "Own words of this document."]), FEW
    )
    assert outcome.documents["id"].to_pylist() == ["d0", "d3"]
    assert outcome.decisions.select(["id", "verdict", "reason"]).to_pylist() == [
        {"id": name, "verdict": "dropped", "reason": REASON} for name in ("d1", "d2")
    ]


def test_a_signature_is_neither_text_nor_boilerplate() -> None:
    table = documents(
        [f"def long_signature(a, b)\n\n{NOTICE}"] * 3 + ["def long_signature(a, b)\n\nWords."] * 3, None, DOCSTRING
    )
    outcome = remove_boilerplate(table, FEW)
    assert outcome.documents["id"].to_pylist() == ["d0", "d3", "d4", "d5"]
    assert outcome.documents["text"][1].as_py() == "def long_signature(a, b)\n\nWords."


CODE = (
    "Before::\n\n    import one_long_module\n\n    call(one_long_module)\n\nAfter this.\n\n>>> call(and_more_words)\n1\n\n"
    "```\nfenced = words_of_code\n\nmore = words_of_code\n```\n\nEnd."
)


def test_code_is_exempt() -> None:
    found = spans(CODE)
    is_code = [CODE[b:e].split()[0] for (b, e), yes in zip(found, code(CODE, found), strict=True) if yes]
    assert is_code == ["import", "call(one_long_module)", ">>>", "```", "more"]
    table = documents([f"{CODE}\n\nOwn {i}" for i in range(4)])
    kept = remove_boilerplate(table, FEW).documents["text"].to_pylist()
    assert kept[1] == normalise(CODE.replace("After this.\n\n", "") + "\n\nOwn 1")
    gone = remove_boilerplate(table, FEW.model_copy(update={"exempt_code": False})).documents["text"].to_pylist()
    assert gone[1] == "Before::\n\nEnd.\n\nOwn 1"
