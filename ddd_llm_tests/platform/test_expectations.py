"""Great Expectations: order, failures, and that no value of a table comes out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from ddd_llm.platform.expectations import load_suite, suite_verdicts
from ddd_llm.platform.inputs import InputError

SUITES = Path(__file__).parents[2] / "assets" / "expectations"
SECRET = "secret words of a document"


def expectation(name: str, kind: str, **arguments: object) -> dict[str, object]:
    return {"name": name, "description": f"{name}.", "type": kind, "arguments": arguments}


def suite_file(folder: Path, *expectations: dict[str, object]) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"expectations": list(expectations)}), encoding="utf-8")
    return path


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


def examples(count: int = 60) -> pa.Table:
    messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
    columns: dict[str, list[Any]] = {
        name: ["x"] * count for name in ("package", "module", "component", "generator", "generator_version")
    }
    columns |= {
        "id": [f"{row:064x}" for row in range(count)],
        "task": ["summary"] * count,
        "split": [("train", "validation", "test")[row % 3] for row in range(count)],
        "slice": [("open_book", "closed_book")[row % 2] for row in range(count)],
        "messages": [json.dumps(messages)] * count,
        "facts": ["{}"] * count,
        "source_ids": [["a", "b"]] * count,
        "author": ["program"] * count,
    }
    return pa.table(columns)


def failed(table: pa.Table, suite: str) -> set[str]:
    verdicts = suite_verdicts(table, SUITES / f"{suite}.yaml")
    return {name for name, (passed, _, _) in verdicts.items() if not passed}


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))


def test_verdicts_keep_the_order_and_hold_no_values(tmp_path: Path) -> None:
    suite = [
        expectation("text_is_short", "expect_column_value_lengths_to_be_between", column="text", max_value=3),
        expectation("ids_unique", "expect_column_values_to_be_unique", column="id"),
        expectation("only_one_text", "expect_column_distinct_values_to_equal_set", column="text", value_set=["x"]),
        expectation("rows", "expect_table_row_count_to_be_between", min_value=1),
        expectation("known", "expect_column_values_to_be_in_set", column="text", value_set=["y"]),
        expectation("no_such_column", "expect_column_values_to_not_be_null", column="score"),
        expectation("most_common", "expect_column_most_common_value_to_be_in_set", column="text", value_set=["z"]),
    ]
    verdicts = suite_verdicts(documents(), suite_file(tmp_path, *suite))
    assert list(verdicts) == [item["name"] for item in suite]
    assert [passed for passed, _, _ in verdicts.values()] == [False, True, False, True, False, False, False]
    assert verdicts["text_is_short"][2]["unexpected_count"] == 3
    assert "3 rows" in verdicts["text_is_short"][1]
    assert SECRET not in json.dumps(verdicts)


@pytest.mark.parametrize(
    "item",
    [
        expectation("unknown", "expect_wonders"),
        expectation("wrong_argument", "expect_column_values_to_be_unique", column="id", often=True),
    ],
)
def test_broken_expectations_are_named(tmp_path: Path, item: dict[str, object]) -> None:
    with pytest.raises(InputError, match=rf"suite\.yaml: {item['name']}"):
        suite_verdicts(documents(), suite_file(tmp_path, item))


def test_files_are_checked(tmp_path: Path) -> None:
    once = expectation("once", "expect_column_values_to_be_unique", column="id")
    with pytest.raises(InputError, match="once"):
        load_suite(suite_file(tmp_path, once, once))
    with pytest.raises(InputError, match=r"suite\.yaml:\d+: .*type"):
        load_suite(suite_file(tmp_path, expectation("one", "uniqueness", column="id")))


@pytest.mark.parametrize(("suite", "table"), [("curated_documents", documents()), ("instruction_dataset", examples())])
def test_suites_pass_a_good_table(suite: str, table: pa.Table) -> None:
    verdicts = suite_verdicts(table, SUITES / f"{suite}.yaml")
    assert list(verdicts) == [item.name for item in load_suite(SUITES / f"{suite}.yaml")]
    assert all(passed for passed, _, _ in verdicts.values())
    json.dumps(verdicts, allow_nan=False)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "0" * 32),
        ("id", "short"),
        ("locator", "l0"),
        ("licence", None),
        ("language", "English"),
        ("text", "a\x00b c d e f g"),
        ("text", None),
    ],
)
def test_one_bad_document_fails_one_expectation(column: str, value: str | None) -> None:
    table = documents()
    assert len(failed(with_column(table, column, [*table[column].to_pylist()[:-1], value]), "curated_documents")) == 1


def test_bad_examples_fail() -> None:
    count = 60
    unanswered = with_column(examples(count), "messages", ['[{"role": "user", "content": "a"}]'] * count)
    elsewhere = with_column(examples(count), "split", ["dev"] * count)
    unnamed = with_column(examples(count), "component", [None] * count)
    for table in (unanswered, elsewhere, unnamed, examples(3)):
        assert failed(table, "instruction_dataset")


def test_empty_table_fails() -> None:
    verdicts = suite_verdicts(documents(0), SUITES / "curated_documents.yaml")
    assert not all(passed for passed, _, _ in verdicts.values())
    json.dumps(verdicts, allow_nan=False)
