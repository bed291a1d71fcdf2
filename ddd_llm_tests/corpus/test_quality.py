"""Curation: each rule on texts on both sides of it, and what must hold of every result."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.filters.document import DOCSTRING, Document
from ddd_llm.corpus.filters.policy import CurationPolicy, approval_verdict
from ddd_llm.corpus.quality import BORDERLINE, DECISIONS, curate, judge, keep_rates

POLICY_FILE = Path(__file__).parents[2] / "assets" / "policies" / "curation.yaml"
POLICY = CurationPolicy.model_validate(yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8")))
WEB_FILE = POLICY_FILE.with_name("curation-web.yaml")
WEB = CurationPolicy.model_validate(yaml.safe_load(WEB_FILE.read_text(encoding="utf-8")))

PROSE = (
    "Return the number of items that are in the queue at the time of the call. The value may be out of date "
    "when it is used, because other threads add items to the queue and take items from it."
)
LONG = " ".join(f"The item{i} of the queue{i} is taken out by thread{i}." for i in range(200))
SPANISH = (
    "Devuelve el número de elementos que hay en la cola en el momento de la llamada. El valor puede no ser actual "
    "cuando se usa, porque otros hilos añaden elementos a la cola y los quitan de ella, sin que nadie lo sepa ni "
    "pueda evitarlo de ningún modo en este programa."
)
TABLE = (
    ">>> df\n┌─────┬─────┐\n│ a   ┆ b   │\n│ --- ┆ --- │\n│ i64 ┆ i64 │\n╞═════╪═════╡\n│ 1   ┆ 2   │\n└─────┴─────┘"
)


def docstring(body: str) -> str:
    return f"def package.module.function(a, b=1)\n\n{body}"


def table(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    """Rows of source, media type, language, text."""
    names = ["source", "media_type", "language", "text"]
    columns = dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True)) if rows else {}
    count = len(rows)
    columns |= {
        "id": [f"{i}" for i in range(count)],
        "locator": [f"l{i}" for i in range(count)],
        "batch": ["b"] * count,
    }
    order = ["id", "source", "locator", "batch", "media_type", "language", "text"]
    return pa.table({name: pa.array(columns.get(name, []), pa.string()) for name in order})


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, PROSE),
        ("undecoded", PROSE.replace("e", "\ufffd")),
        ("undecoded", PROSE.replace("i", "Ã©")),
        ("lorem_ipsum", f"{PROSE} Lorem ipsum dolor sit amet."),
        (None, f"{LONG} The filter gives lorem ipsum dolor sit amet."),
        ("too_few_words", "One two three."),
        ("too_many_words", "many of the words " * 30_000),
        ("odd_word_length", "f(x) = a * x + b * y + c * z + d * u + e * v + g * w + h * t + i * s + j * r + k * q"),
        ("odd_word_length", " ".join(f"{i:064x}" for i in range(30))),
        ("mostly_non_letters", "sum 1 + 2 = 3 ; " + "10 20 30 + - * / " * 8 + "total amount"),
        ("symbols", "and # this # is ... the # way ... of # the # word ... that # has ... to # be # with " * 2),
        ("ellipsis_lines", "\n".join(f"Read more of the story number {i} ..." for i in "abcdefgh")),
        (None, f"{PROSE}\n\n##########################\n\n{PROSE}"),
        ("repeated_lines", "\n".join(["The same line over and over again."] * 10)),
        ("duplicate_10_grams", "the same words come again and again in one long line and " * 10),
        ("few_stop_words", " ".join(f"word{i}x" for i in range(70))),
        ("javascript_lines", f"{PROSE}\nPlease enable JavaScript to go on.\n"),
        ("policy_lines", f"{PROSE}\nThis site uses cookies.\n"),
    ],
)
def test_texts(reason: str | None, text: str) -> None:
    assert POLICY.reason(Document(text, "text/plain", "en")) == reason


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        (None, "Return the width of the rectangle."),
        (None, "Check whether an argument is callable."),
        (None, f"Create a frame.\n\nExamples\n--------\n{TABLE * 20}"),
        (None, "Sum of it all::\n\n    # a\n    # b\n    ...\n    # c\n\nThe sum is exact."),
        (None, "Show a trace.\n\n\x08\nExample:\nprogram traces show --id 1"),
        ("boilerplate", "Alias for field number 12"),
        ("boilerplate", "See :meth:`other.method`."),
        ("boilerplate", "Docstring is inherited from the base class."),
        ("boilerplate", "TODO"),
        ("boilerplate", "Return repr(self)."),
        ("boilerplate", "Initialize self.  See help(type(self)) for accurate signature."),
        ("too_few_words", "Initialize the weights"),
        ("mostly_non_letters", "[1, 2, 3] + [4] == [1, 2, 3, 4]"),
    ],
)
def test_docstrings(reason: str | None, body: str) -> None:
    assert POLICY.reason(Document(docstring(body), DOCSTRING, "en")) == reason


def test_language() -> None:
    assert POLICY.reason(Document(SPANISH, "text/plain", "es")) == "language_not_allowed"
    assert POLICY.reason(Document(PROSE * 2, "text/plain", "es")) is None  # its words speak against the detection
    assert (
        POLICY.reason(Document(docstring("Suma los elementos de la lista."), DOCSTRING, "es")) is None
    )  # too short to tell


def test_scripts_without_spaces_have_words() -> None:
    policy = CurationPolicy.model_validate(POLICY.model_dump() | {"rules": [{"rule": "too_few_words", "least": 20}]})
    assert policy.reason(Document("返回调用时队列中的项目数量，该值在使用时可能已经过时。")) is None


def test_prose_is_what_is_outside_of_code() -> None:
    body = (
        "Title\n=====\n\nBefore::\n\n    code here\n\n    more code\n\nBetween\n>>> call()\nprinted\n\nThen\n\n"
        ".. note::\n\n   remark\n\n.. code-block:: python\n\n   code()\n\nLater\n\n```python\nfenced()\n```\nEnd"
    )
    words = ["title", "before", "between", "then", "note", "remark", "code", "block", "python", "later", "end"]
    assert Document(body).prose == words


texts = st.sampled_from(
    [PROSE, SPANISH, "One two three.", "", docstring("TODO"), PROSE.replace("e", "\ufffd")]
) | st.text(max_size=200)


@given(
    st.lists(
        st.tuples(st.sampled_from("st"), st.sampled_from([DOCSTRING, "text/plain"]), st.just("en"), texts), max_size=12
    )
)
def test_every_document_is_kept_or_has_one_reason(rows: list[tuple[str, str, str, str]]) -> None:
    documents = table(rows)
    kept, decisions = curate(documents, POLICY)
    assert decisions.schema == DECISIONS
    assert decisions.select(["id", "source", "locator", "batch"]).equals(
        documents.select(["id", "source", "locator", "batch"])
    )
    verdicts = decisions.to_pylist()
    names = [rule.rule for rule in POLICY.rules]
    assert all((row["verdict"], row["reason"]) == ("kept", None) or row["reason"] in names for row in verdicts)
    assert kept["id"].to_pylist() == [row["id"] for row in verdicts if row["verdict"] == "kept"]
    assert kept.schema == documents.schema
    # The reason is the first of the rules broken.
    for row, (_, media_type, language, text) in zip(verdicts, rows, strict=True):
        document = Document(text, media_type, language)
        broken = [rule.rule for rule in POLICY.rules if rule.broken_by(document)]
        assert row["reason"] == (broken[0] if broken else None)

    rates = keep_rates(decisions).to_pylist()
    expected = Counter((row["reason"], row["source"]) for row in verdicts if row["reason"])
    totals = Counter(row["source"] for row in verdicts)
    assert [(row["rule"], row["source"]) for row in rates] == sorted(expected)
    assert all(row["dropped"] == expected[row["rule"], row["source"]] for row in rates)
    assert all(row["share"] == row["dropped"] / totals[row["source"]] for row in rates)


@given(st.lists(st.tuples(st.just("s"), st.just("text/plain"), st.just("en"), texts), min_size=1, max_size=6))
def test_measures_explain_every_decision(rows: list[tuple[str, str, str, str]]) -> None:
    found = judge(table(rows), POLICY)
    order = [rule.rule for rule in POLICY.rules]
    assert found.measures.column_names == ["id", "batch", *order]
    assert found.measures["id"].equals(found.decisions["id"])
    near = {(row["id"], row["rule"]): row for row in found.borderline.to_pylist()}
    for measured, decision, (_, media_type, language, text) in zip(
        found.measures.to_pylist(), found.decisions.to_pylist(), rows, strict=True
    ):
        asked = order[: order.index(decision["reason"]) + 1] if decision["reason"] else order
        for rule in POLICY.rules:
            answer = rule.measure(Document(text, media_type, language)) if rule.rule in asked else None
            assert measured[rule.rule] == (None if answer is None else answer.value)
            row = near.get((measured["id"], rule.rule))
            assert (row is not None) == (answer is not None and answer.near(POLICY.borderline.margin))
            if answer is not None and row is not None:
                assert (row["passed"], row["value"], row["limit"]) == (not answer.broken, answer.value, answer.limit)


def test_borderline_documents_lie_on_both_sides_of_a_limit() -> None:
    rules = [{"rule": "too_few_words", "least": 20}]
    policy = CurationPolicy.model_validate({"version": 1, "rules": rules, "borderline": {"margin": 0.1}})
    lengths = [5, 17, 18, 19, 20, 22, 23, 40]
    found = judge(table([("s", "text/plain", "en", "word " * n) for n in lengths]), policy)
    assert found.borderline.schema == BORDERLINE
    near = [(row["value"], row["passed"]) for row in found.borderline.to_pylist()]
    assert near == [(18, False), (19, False), (20, True), (22, True)]


def test_judging_an_empty_corpus() -> None:
    found = judge(table([]), POLICY)
    assert len(found.kept) == len(found.decisions) == len(found.measures) == len(found.borderline) == 0


def test_every_rule_states_its_origin_and_version() -> None:
    for rule in (*POLICY.rules, *WEB.rules):
        assert rule.origin
        assert rule.version >= 1
    assert CurationPolicy.model_validate(POLICY.model_dump(mode="json")) == POLICY


def approved(policy: CurationPolicy, **change: object) -> CurationPolicy:
    signed = {
        "approved_by": "A name",
        "approved_on": "2026-11-25",
        "approved_version": policy.version,
        "approved_digest": policy.digest,
    }
    return CurationPolicy.model_validate(policy.model_dump(mode="json") | signed | change)


def said(policy: CurationPolicy) -> tuple[bool, str]:
    passed, sentence, metadata = approval_verdict(policy.model_dump(mode="json"))
    assert metadata == {"version": policy.version, "digest": policy.digest}
    return passed, sentence


def test_only_the_approved_rules_are_approved() -> None:
    passed, sentence = said(POLICY.model_copy(update={"approved_by": None}))
    assert not passed and "Nobody has approved version 2" in sentence and POLICY.digest in sentence
    signed = approved(POLICY)
    assert said(signed) == (True, "Version 2 was approved by A name on 2026-11-25.")
    # What does not decide on documents may change without a new approval.
    assert said(approved(POLICY, borderline={"margin": 0.2}))[0]

    rules = [rule.model_dump(mode="json") for rule in POLICY.rules]
    other = approved(POLICY, rules=rules[1:])
    passed, sentence = said(other)
    assert not passed and "The curation standard has changed since version 2" in sentence and other.digest in sentence
    passed, sentence = said(approved(POLICY, rules=rules[::-1]))  # their order decides on the reason
    assert not passed and "has changed" in sentence
    passed, sentence = said(approved(POLICY, rules=rules[1:], version=3))
    assert not passed and "Version 3 of the curation standard is not approved" in sentence
    assert not said(approved(POLICY, approved_by=None))[0]
    assert not said(approved(POLICY, code="judged"))[0]


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [{"rule": "too_short"}]},
        {"rules": [{"rule": "too_few_words", "most": 3}]},
        {"rules": [{"rule": "lorem_ipsum"}, {"rule": "lorem_ipsum"}]},
        {"rules": [{"rule": "boilerplate", "patterns": ["(unclosed"]}]},
        {"approved_by": ""},
        {"approved_on": "soon"},
        {"approved_digest": "abc"},
        {"rules": [{"rule": "duplicate_11_grams"}]},
        {"rules": [{"rule": "classifier", "path": "a.bin", "least": 0.5}]},
        {"borderline": {"margin": -1}},
        {"fairness": {"dimensions": ["religion"]}},
        {"unknown": 1},
    ],
)
def test_broken_policies_are_refused(change: dict) -> None:
    with pytest.raises(ValidationError):
        CurationPolicy.model_validate(POLICY.model_dump() | change)


def test_bad_tables_are_refused() -> None:
    documents = table([("s", "text/plain", "en", PROSE)])
    with pytest.raises(ValueError, match="no column 'text'"):
        curate(documents.drop_columns(["text"]), POLICY)
    with pytest.raises(ValueError, match="1 documents have no text"):
        curate(documents.set_column(6, "text", pa.nulls(1, pa.string())), POLICY)
