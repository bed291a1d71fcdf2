"""Planted items are found and named, edited ones too; unrelated text is left alone."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.words import tokenise
from ddd_llm.corpus.passes.contamination import REASON, build_index, find_contaminated, search
from ddd_llm.corpus.passes.policy import ContaminationPolicy, EvaluationSet, PassesPolicy, evaluation_digests
from ddd_llm.corpus.passes.token_hashes import token_hashes
from ddd_llm.platform.inputs import InputError
from ddd_llm_tests.corpus.passes.helpers import docstrings, documents


def policy(**fields: object) -> ContaminationPolicy:
    one = EvaluationSet(name="ours", path="set.jsonl", text_fields=("question",), id_field="key")
    return ContaminationPolicy.model_validate({"sets": (one,), **fields})


def write(folder: Path, questions: list[str]) -> None:
    rows = [json.dumps({"key": f"q{i}", "question": text}) for i, text in enumerate(questions)]
    (folder / "set.jsonl").write_text("\n".join(rows), encoding="utf-8")


def pairs(items: list[str], texts: list[str], **fields: object) -> dict[tuple[int, int], int]:
    index, _, _ = build_index(items, policy(**fields))
    rows, found, counts = search(pa.array(texts, pa.large_string()), index)
    return {(r, i): c for r, i, c in zip(rows.tolist(), found.tolist(), counts.tolist(), strict=True)}


@given(st.lists(st.text(max_size=30), max_size=5))
def test_tokens_are_those_of_the_definition(texts: list[str]) -> None:
    texts = [text.translate({0x130: "I", 0x3A3: "S"}) for text in texts]
    found, first = token_hashes(pa.array(texts, pa.large_string()))
    expected = [tokenise(text) for text in texts]
    flat = [token for tokens in expected for token in tokens]
    assert first.tolist() == [sum(map(len, expected[:i])) for i in range(len(texts) + 1)]
    assert len(set(zip(found.tolist(), flat, strict=True))) == len(set(flat)) == len(set(found.tolist()))


small = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=30).map(" ".join)


def distance(item: list[str], text: list[str]) -> int:
    """Edits that make the item a stretch of the text."""
    cost = [0] * (len(text) + 1)
    for i, token in enumerate(item):
        new = [i + 1]
        for j, other in enumerate(text):
            new.append(min(cost[j] + (token != other), cost[j + 1] + 1, new[j] + 1))
        cost = new
    return min(cost)


@settings(max_examples=100)
@given(st.lists(small, min_size=1, max_size=5), st.lists(small, max_size=5), st.sampled_from([0.1, 0.5, 1.0]))
def test_against_plain_python(items: list[str], texts: list[str], share: float) -> None:
    found = pairs(items, texts, least_share=share, least_words=1)
    for r, text in enumerate(texts):
        for i, item in enumerate(items):
            own, words = item.split(), text.split()
            if len(own) >= 17:
                grams = {tuple(own[k : k + 8]) for k in range(len(own) - 7)}
                there = len(grams & {tuple(words[k : k + 8]) for k in range(len(words) - 7)})
                expected = there >= min(len(grams), max(2, -(-share * len(grams) // 1)))
                assert ((r, i) in found) == expected
                assert found.get((r, i), there) == there
            elif len(own) < 8:
                assert ((r, i) in found) == any(words[k : k + len(own)] == own for k in range(len(words)))
            elif (r, i) in found:
                assert distance(own, words) <= (2 if len(own) <= 10 else 3)
                assert found[r, i] == len(own) - distance(own, words)
            else:
                assert own not in [words[k : k + len(own)] for k in range(len(words))]


def test_every_tenth_word_edited_from_any_word_on() -> None:
    items = [
        " ".join(text.replace("-", " ").split()[:size])
        for size in range(8, 70)
        for _, text in docstrings("networkx", 300)[size::62]
    ]
    items = [" ".join(tokenise(item)) for item in items]
    assert len(items) > 200
    for phase in range(10):
        edited = [
            "So it begins: "
            + " ".join("edited" if k % 10 == phase else word for k, word in enumerate(item.split()))
            + ", thus."
            for item in items
        ]
        found = pairs(items, edited)
        assert all((i, i) in found for i in range(len(items)))


def test_unrelated_text_is_left_alone() -> None:
    items = [" ".join(text.split()[:40]) for _, text in docstrings("networkx", 400)]
    texts = [text for _, text in docstrings("polars", 700)]
    found = pairs(items, texts)
    assert len({r for r, _ in found}) <= 0.03 * len(texts)
    assert len({i for _, i in found}) <= 0.03 * len(items)


def test_a_planted_item_is_named(tmp_path: Path) -> None:
    texts = [text for _, text in docstrings("networkx", 200)]
    question = "Which river flows through the old town of Ljubljana, and which three bridges cross it side by side in the centre?"
    write(tmp_path, ["How do you say good morning in Slovene at half past nine?", question, "Yes.", ""])
    texts[77] = f"{texts[77]}\n\nQuestion:  {question.upper()}"
    for action, kept in (("drop", 199), ("tag", 200)):
        outcome = find_contaminated(documents(texts), policy(action=action), tmp_path)
        assert outcome.found.to_pylist() == [{"id": "d77", "set": "ours", "item": "q1", "share": 1.0}]
        assert len(outcome.documents) == kept
        assert outcome.decisions["reason"].to_pylist() == [REASON] * (200 - kept)
        assert outcome.summary["items_too_short"] == 2


def test_fields_files_and_names(tmp_path: Path) -> None:
    rows = [{"a": "one two three", "b": 42, "name": 7}, {"a": "five six", "b": "seven", "name": 8}]
    pq.write_table(
        pa.table({"a": ["one two three", "five six"], "b": ["42", "seven"], "name": [7, 8]}), tmp_path / "s.parquet"
    )
    with gzip.open(tmp_path / "s.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, rows)))
    texts = documents(["zero one two three 42", "five six; seven", "one two three", "五 six seven"])
    for path in ("s.parquet", str(tmp_path / "s.jsonl.gz")):
        one = EvaluationSet(name="x", path=path, text_fields=("a", "b"), id_field="name")
        found = find_contaminated(texts, ContaminationPolicy(sets=(one,)), tmp_path).found.to_pylist()
        assert [(row["id"], row["item"]) for row in found] == [("d0", "7"), ("d1", "8")]
    unnamed = EvaluationSet(name="x", path="s.parquet", text_fields=("a",))
    assert find_contaminated(texts, ContaminationPolicy(sets=(unnamed,)), tmp_path).found["item"].to_pylist() == [
        "0",
        "0",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.jsonl", b"", "holds no items"),
        ("set.jsonl", b"[1]", "row 0 is no object"),
        ("set.jsonl", b'{"key": 1, "question": null}', "'question' is missing or no text"),
        ("set.jsonl", b'{"question": "secret words"}', "'key' is missing"),
        ("set.jsonl", b'{"question": "secret words', "cannot be read"),
        ("set.jsonl", b'{"question": "\xff"}', "cannot be read"),
        ("set.parquet", b"secret words", "cannot be read"),
        ("set.jsonl.gz", b"secret words", "cannot be read"),
        ("set.csv", b"question", "a .jsonl, .jsonl.gz or .parquet file"),
        (None, b"", "cannot be read"),
    ],
)
def test_broken_sets_are_refused(tmp_path: Path, name: str | None, content: bytes, message: str) -> None:
    (tmp_path / (name or "other")).write_bytes(content)
    one = EvaluationSet(name="ours", path=name or "set.jsonl", text_fields=("question",), id_field="key")
    with pytest.raises(InputError, match=message) as caught:
        find_contaminated(documents(["x"]), ContaminationPolicy(sets=(one,)), tmp_path)
    assert "secret" not in str(caught.value)


def test_digests_follow_the_bytes(tmp_path: Path) -> None:
    passes = PassesPolicy(contamination=policy())
    with pytest.raises(InputError, match="'ours' cannot be read"):
        evaluation_digests(passes, tmp_path)
    write(tmp_path, ["a"])
    before = evaluation_digests(passes, tmp_path)
    write(tmp_path, ["b"])
    assert before.keys() == {"ours"} and evaluation_digests(passes, tmp_path) != before
