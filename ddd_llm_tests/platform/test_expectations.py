"""Great Expectations: order, failures, and that no value of a table comes out."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ddd_llm.platform.expectations import ExpectationError, load_suite, suite_verdicts, validate
from ddd_llm.platform.inputs import InputError

SUITES = Path(__file__).parents[2] / "assets" / "expectations"
SECRET = "secret words of a document"


def expectation(name: str, kind: str, severity: str = "critical", **arguments: object) -> dict[str, object]:
    return {"name": name, "description": f"{name}.", "type": kind, "arguments": arguments, "severity": severity}


def documents(count: int = 3) -> pa.Table:
    rows = range(count)
    columns = {
        "id": [f"{row:032x}" for row in rows],
        "source": ["s"] * count,
        "locator": [f"l{row}" for row in rows],
        "batch": ["b"] * count,
        "title": [None] * count,
        "media_type": ["text/plain"] * count,
        "language": ["en"] * count,
        "licence": ["MIT OR Apache-2.0"] * count,
        "text": [f"{SECRET} {row}" for row in rows],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def examples() -> pa.Table:
    rows = range(6)
    messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
    columns: dict[str, list] = {
        name: ["x"] * 6 for name in ("package", "module", "component", "generator", "generator_version")
    }
    columns |= {
        "id": [f"{row:064x}" for row in rows],
        "task": ["summary"] * 6,
        "split": ["train", "validation", "test"] * 2,
        "slice": ["open_book", "closed_book"] * 3,
        "messages": [json.dumps([*messages, {"role": "user", "content": str(row)}]) for row in rows],
        "facts": ["{}"] * 6,
        "source_ids": [["a", "b"]] * 6,
    }
    return pa.table(columns)


def test_results_keep_the_order_and_hold_no_values() -> None:
    suite = [
        expectation("text_is_short", "expect_column_value_lengths_to_be_between", column="text", max_value=3),
        expectation("ids_unique", "expect_column_values_to_be_unique", column="id"),
        expectation("only_one_text", "expect_column_distinct_values_to_equal_set", column="text", value_set=["x"]),
        expectation("rows", "expect_table_row_count_to_be_between", min_value=1),
        expectation("known", "expect_column_values_to_be_in_set", "warning", column="text", value_set=["y"]),
        expectation("no_such_column", "expect_column_values_to_not_be_null", column="score"),
        expectation("most_common", "expect_column_most_common_value_to_be_in_set", column="text", value_set=["z"]),
    ]
    results = validate(documents(), "suite", suite)
    assert [result.name for result in results] == [item["name"] for item in suite]
    assert [result.success for result in results] == [False, True, False, True, False, False, False]
    assert [result.severity for result in results][4] == "warning"
    assert results[0].observed == {
        "element_count": 3,
        "unexpected_count": 3,
        "missing_count": 0,
        "unexpected_percent": 100.0,
        "first_rows": [0, 1, 2],
    }
    assert results[3].observed == {"observed_value": 3}
    assert results[5].observed == {"missing_columns": ["score"]}
    assert SECRET not in json.dumps([result.observed for result in results])


@pytest.mark.parametrize(
    "item",
    [
        expectation("unknown", "expect_wonders"),
        expectation("wrong_argument", "expect_column_values_to_be_unique", column="id", often=True),
        expectation("wrong_pattern", "expect_column_values_to_match_regex", column="text", regex="("),
    ],
)
def test_broken_expectations_are_named(item: dict[str, object]) -> None:
    with pytest.raises(ExpectationError, match=f"suite: {item['name']}") as caught:
        validate(documents(), "suite", [item])
    assert SECRET not in str(caught.value)


def test_mappings_are_checked() -> None:
    with pytest.raises(ValidationError):
        validate(documents(), "suite", [expectation("Not a name", "expect_column_values_to_be_unique", column="id")])
    twice = expectation("once", "expect_column_values_to_be_unique", column="id")
    with pytest.raises(ValidationError, match="more than once: once"):
        validate(documents(), "suite", [twice, twice])


@pytest.mark.parametrize("suite", ["curated_documents", "instruction_dataset"])
def test_suites_pass_a_good_table(suite: str) -> None:
    table = documents() if suite == "curated_documents" else examples()
    verdicts = suite_verdicts(table, SUITES / f"{suite}.yaml")
    assert list(verdicts) == [item.name for item in load_suite(SUITES / f"{suite}.yaml")]
    assert all(passed for passed, _, _ in verdicts.values())
    json.dumps(verdicts)


@pytest.mark.parametrize(
    ("column", "value", "failed"),
    [
        ("id", "0" * 32, {"ids_are_unique"}),
        ("id", "short", {"ids_are_digests"}),
        ("id", None, {"ids_are_present"}),
        ("locator", "l0", {"places_are_unique"}),
        ("licence", None, {"licences_are_present"}),
        ("licence", "see <a>", {"licences_are_expressions"}),
        ("language", "English", {"languages_are_codes"}),
        ("text", "a\x00b c d e f g", {"texts_are_normal"}),
        ("text", None, {"texts_are_present"}),
        ("text", "short", {"texts_have_a_length"}),
        ("text", "write to somebody@company.com today", set()),  # a warning
    ],
)
def test_bad_documents_fail(column: str, value: str | None, failed: set[str]) -> None:
    table = documents()
    values = [*table[column].to_pylist()[:-1], value]
    table = table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
    verdicts = suite_verdicts(table, SUITES / "curated_documents.yaml")
    assert {name for name, (passed, _, _) in verdicts.items() if not passed} == failed


def test_bad_examples_fail() -> None:
    table = examples().set_column(9, "messages", pa.array(['[{"role": "user", "content": "a"}]'] * 6))
    table = table.set_column(7, "split", pa.array(["dev"] * 6))
    verdicts = suite_verdicts(table.select(examples().column_names[:-1]), SUITES / "instruction_dataset.yaml")
    assert {name for name, (passed, _, _) in verdicts.items() if not passed} == {
        "columns_are_complete",
        "splits_are_known",
        "messages_are_conversations",
        "sources_are_present",
    }


def test_warnings_pass_and_say_so() -> None:
    passed, sentence, metadata = suite_verdicts(examples(), SUITES / "instruction_dataset.yaml")[
        "enough_training_examples"
    ]
    assert passed
    assert sentence.startswith("warning: not so. At least 3,000 examples")
    assert metadata == {"observed_value": 2, "success": False, "severity": "warning"}


def test_empty_table_fails_as_empty() -> None:
    verdicts = suite_verdicts(documents(0), SUITES / "curated_documents.yaml")
    assert [name for name, (passed, _, _) in verdicts.items() if not passed] == ["has_documents"]


def test_bad_file_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("expectations:\n  - name: one\n    description: One.\n    type: expectation\n")
    with pytest.raises(InputError, match=r"suite\.yaml:4: .*type"):
        load_suite(path)
