"""The passes together: nothing is lost, nothing is said of what does not run, and the page shows what they did."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.passes.boilerplate import CLEANING
from ddd_llm.corpus.passes.policy import PassesPolicy
from ddd_llm.corpus.passes.run import apply_passes
from ddd_llm.corpus.policies import passes_config, passes_policy
from ddd_llm.corpus.quality import DECISIONS
from ddd_llm.corpus.reports.passes import pass_sections, pass_summary
from ddd_llm.platform.report import Page
from ddd_llm.platform.settings import load_settings
from ddd_llm_tests.corpus.passes.helpers import documents

POLICY_FILE = Path(__file__).parents[3] / "assets" / "policies" / "passes.yaml"
PARTS = [
    "A notice that stands in very many of these documents.",
    "What is the capital of Slovenia?",
    "You stupid pathetic idiot!",
    "Some words of its own.",
    "<b>日本語</b> & more",
]
OFF = {name: {"enabled": False} for name in PassesPolicy.model_fields}


def policy() -> PassesPolicy:
    return PassesPolicy.model_validate(
        {
            "boilerplate": {"more_than_documents": 2, "least_sources": 1},
            "contamination": {"sets": [{"name": "ours", "path": "set.jsonl", "text_fields": ["q"]}]},
            "poisoning": {"least_documents": 5, "most_share": 1},
        }
    )


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "set.jsonl").write_text(json.dumps({"q": PARTS[1]}))
    return folder


@settings(max_examples=25)
@given(bodies=st.lists(st.lists(st.sampled_from(PARTS), max_size=4), max_size=12))
def test_in_is_kept_and_dropped(assets: Path, bodies: list[list[str]]) -> None:
    table = documents(["\n\n".join(body) for body in bodies]).append_column(
        "more", pa.array(range(len(bodies)), pa.int64())
    )
    result = apply_passes(table, policy(), assets)
    kept, gone = result.documents["id"].to_pylist(), result.decisions["id"].to_pylist()
    assert sorted(kept + gone) == sorted(table["id"].to_pylist())
    assert kept == [one for one in table["id"].to_pylist() if one in set(kept)]
    assert result.documents.schema == table.schema and result.decisions.schema == DECISIONS
    assert set(result.decisions["verdict"].to_pylist()) <= {"dropped"}
    assert set(result.decisions["reason"].to_pylist()) <= {"only_boilerplate", "contaminated"}
    # Only texts that `cleaning` names are not as they were.
    before = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    changed = {row["id"] for row in result.documents.to_pylist() if row["text"] != before[row["id"]]}
    assert changed == set(result.cleaning["id"].to_pylist()) & set(kept)
    assert not any(PARTS[1] in text for text in result.documents["text"].to_pylist())
    assert set(result.tags["id"].to_pylist()) <= set(kept)
    page = Page("x")
    pass_sections(page, result, table)
    assert "<b>日本語" not in page.html()
    assert pass_summary(result)["cleaning_rows"] == len(result.cleaning)
    again = apply_passes(table, policy(), assets)
    assert again.documents.equals(result.documents) and again.tables == result.tables


def test_passes_that_are_off_leave_empty_tables(tmp_path: Path) -> None:
    table = documents(["\n\n".join(PARTS)] * 30)
    said: list[tuple[object, ...]] = []
    result = apply_passes(table, PassesPolicy.model_validate(OFF), tmp_path, lambda *what: said.append(what))
    assert result.documents.equals(table) and not len(result.decisions) and not result.summary
    assert all(not len(rows) for rows in result.tables.values())
    assert result.cleaning.schema == CLEANING
    assert [done for done, *_ in said] == [0, 1, 2, 3, 4]
    page = Page("x")
    pass_sections(page, result, table)
    assert "Passes not run: boilerplate, contamination, semantic, tags, poisoning" in page.html()


def test_bad_tables_are_refused(tmp_path: Path) -> None:
    table = documents(["a", "b"])
    with pytest.raises(ValueError, match="no column 'media_type'"):
        apply_passes(table.drop_columns(["media_type"]), PassesPolicy(), tmp_path)
    with pytest.raises(ValueError, match="'text' of documents holds 2 nulls"):
        apply_passes(table.set_column(5, "text", pa.nulls(2, pa.string())), PassesPolicy(), tmp_path)


def test_the_policy_file_is_read_and_part_of_the_config(tmp_path: Path) -> None:
    shipped = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    assert shipped.keys() == PassesPolicy.model_fields.keys()
    settings_here = load_settings({"DDD_LLM_ASSETS": str(tmp_path), "DDD_LLM_HOME": str(tmp_path)})
    (tmp_path / "policies").mkdir()
    shipped["contamination"]["sets"] = [{"name": "ours", "path": "set.jsonl", "text_fields": ["q"]}]
    (tmp_path / "policies" / "passes.yaml").write_text(yaml.safe_dump(shipped))
    (tmp_path / "set.jsonl").write_text("{}")
    config = passes_config(settings_here)
    assert PassesPolicy.model_validate(config["policy"]) == passes_policy(settings_here)
    (tmp_path / "set.jsonl").write_text("{ }")
    assert passes_config(settings_here) != config


@pytest.mark.parametrize(
    "change",
    [
        {"boilerplate": {"least_share": 0}},
        {"contamination": {"action": "delete"}},
        {"contamination": {"sets": [{"name": "a", "path": "b", "text_fields": []}]}},
        {"contamination": {"sets": [{"name": "a", "path": "b", "text_fields": ["c"]}] * 2}},
        {"tags": {"window": 1}},
        {"poison": {}},
    ],
)
def test_broken_policies_are_refused(change: dict) -> None:
    with pytest.raises(ValidationError):
        PassesPolicy.model_validate(change)
