"""Curation: each rule on texts on both sides of it, and what must hold of every result."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.quality import DECISIONS, CurationPolicy, curate, keep_rates
from ddd_llm.corpus.quality_document import DOCSTRING, Document

POLICY_FILE = Path(__file__).parents[2] / "assets" / "policies" / "curation.yaml"
POLICY = CurationPolicy.model_validate(yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8")))

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
        ("repeated_phrases", "the same words come again and again in one long line and " * 10),
        ("few_stop_words", " ".join(f"word{i}x" for i in range(70))),
        ("web_chrome", f"{PROSE}\nPlease enable JavaScript to go on.\n"),
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
    policy = CurationPolicy.model_validate(POLICY.model_dump() | {"rules": [{"rule": "too_few_words"}]})
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


@settings(deadline=None)
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
        broken = [rule.reason(Document(text, media_type, language)) for rule in POLICY.rules]
        assert row["reason"] == next((reason for reason in broken if reason), None)

    rates = keep_rates(decisions).to_pylist()
    expected = Counter((row["reason"], row["source"]) for row in verdicts if row["reason"])
    totals = Counter(row["source"] for row in verdicts)
    assert [(row["rule"], row["source"]) for row in rates] == sorted(expected)
    assert all(row["dropped"] == expected[row["rule"], row["source"]] for row in rates)
    assert all(row["share"] == row["dropped"] / totals[row["source"]] for row in rates)


def test_every_rule_states_its_origin_and_version() -> None:
    assert len(POLICY.rules) == 14
    for rule in POLICY.rules:
        assert rule.origin
        assert rule.version >= 1
    assert CurationPolicy.model_validate(POLICY.model_dump(mode="json")) == POLICY


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [{"rule": "too_short"}]},
        {"rules": [{"rule": "too_few_words", "most": 3}]},
        {"rules": [{"rule": "lorem_ipsum"}, {"rule": "lorem_ipsum"}]},
        {"rules": [{"rule": "boilerplate", "patterns": ["(unclosed"]}]},
        {"approved_by": ""},
        {"approved_on": "soon"},
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
