"""Examples that a model writes: what is asked and kept, the budget, a writer that fails, and what a dataset takes of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.instructions.build import BuiltDataset, build_dataset
from ddd_llm.instructions.candidates import CANDIDATES_SCHEMA
from ddd_llm.instructions.leakage import find_leaks
from ddd_llm.instructions.prompts import estimate_tokens, passage_of, question_of
from ddd_llm.instructions.recipe import DatasetConfig
from ddd_llm.instructions.split import SplitConfig
from ddd_llm.instructions.synthetic import Synthetic, checked, choose_documents, write
from ddd_llm.instructions.writers import EndpointWriter, Remembering, Shown, SyntheticConfig, Written
from ddd_llm.training.local_writer import LocalWriter
from ddd_llm_tests.chat_server import Server, endpoint
from ddd_llm_tests.instructions.samples import no_pairs, real_candidates, real_documents
from ddd_llm_tests.training.tiny import tiny_model

PASSAGE = "Invoices are kept for ten years. The archive is in Ghent, and Marie Peeters has its key."
GOOD = "Question: Where is the archive?\nAnswer: The archive is in Ghent."
CONFIG = SyntheticConfig(kind="local")


class Fixed:
    """A writer with one answer for all."""

    name = "fixed"
    at_once = 2

    def __init__(self, text: str = GOOD, tokens: int = 50) -> None:
        self.text, self.tokens, self.calls = text, tokens, 0

    def __call__(self, shown: Any) -> list[Written]:
        self.calls += 1
        return [Written(self.text.replace("archive", f"archive {document.id}"), self.tokens) for document in shown]


def notes(count: int) -> list[Shown]:
    return [Shown(f"d{i}", f"notes/{i}.md", PASSAGE.replace("archive", f"archive d{i}")) for i in range(count)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        (
            "question: Where is it, the archive?\n\nANSWER: In Ghent; Marie Peeters has the key.\n\nQuestion: More?",
            None,
        ),
        ("Question: Who opens the archive?\nAnswer: Marie has keys of archives.", None),
        ("Where is the archive? In Ghent.", "other_form"),
        ("", "other_form"),
        ("Question: The archive.\nAnswer: It is in Ghent.", "no_question"),
        ("Question: Where?\nAnswer: The archive is in Ghent.", "no_question"),
        ("Question: Where is the archive?\nAnswer: Where is the archive?", "repeats_the_question"),
        ("Question: Where is the archive?\nAnswer: ...", "repeats_the_question"),
        ("Question: Where is the archive?\nAnswer: The archive is in", "repeats_the_question"),
        ("Question: Where is the archive?\nAnswer: The archive is in Ghent and", "unfinished"),
        ("Question: Where is the archive?\nAnswer: " + "In Ghent. " * 40, "answer_too_long"),
        ("Question: Which planet is largest there?\nAnswer: The archive is in Ghent.", "question_elsewhere"),
        ("Question: Where is the archive?\nAnswer: The archive moved to Antwerp yesterday.", "not_grounded"),
    ],
)
def test_what_is_kept_of_what_was_written(text: str, reason: str | None) -> None:
    pair, why = checked(text, PASSAGE, CONFIG)
    assert why == reason and (pair is None) == (reason is not None)


@given(st.text())
def test_no_text_breaks_the_check_and_what_is_kept_stands_in_the_passage(text: str) -> None:
    for written in (text, f"Question: {text}?\nAnswer: {text}."):
        pair, why = checked(written, PASSAGE, CONFIG)
        assert (pair is None) == (why is not None)


def test_each_example_names_its_document_and_its_writer() -> None:
    made = write(notes(3), Fixed(), CONFIG)
    assert made.table.schema == CANDIDATES_SCHEMA
    for row in made.table.to_pylist():
        prompt, answer = json.loads(row["messages"])
        (source,) = row["source_ids"]
        assert f"archive {source}" in str(passage_of(prompt["content"]))
        assert question_of(prompt["content"]) == f"Where is the archive {source}?"
        assert answer == {"role": "assistant", "content": f"The archive {source} is in Ghent."}
        assert (row["task"], row["generator"], row["generator_version"]) == ("synthetic", "synthetic", "fixed")
        assert (row["package"], row["module"]) == ("notes", f"notes/{source[1:]}.md")
    assert len(set(made.table["id"].to_pylist())) == 3 and made.tokens == 150


def test_the_budget_ends_it_and_every_document_has_a_decision() -> None:
    writer = Fixed(tokens=100)
    told: list[tuple[int, int]] = []
    made = write(notes(9), writer, SyntheticConfig(kind="local", most_tokens=350), lambda *x: told.append(x))
    assert (made.tokens, writer.calls, told) == (400, 2, [(2, 9), (4, 9)]), (
        "the batch that passes the budget is the last"
    )
    assert Counter(row["reason"] for row in made.decisions.to_pylist()) == {None: 4, "budget_spent": 5}
    assert [row["id"] for row in made.decisions.to_pylist()] == [f"d{i}" for i in range(9)]
    nothing = write(notes(2), None, SyntheticConfig())
    assert set(nothing.decisions["reason"].to_pylist()) == {"nobody_writes"} and nothing.tokens == 0


def test_what_was_written_before_is_not_asked_for_again() -> None:
    first = write(notes(5), Fixed(), CONFIG)
    assert first.replies["text"].to_pylist() and set(first.replies["id"].to_pylist()) == {f"d{i}" for i in range(5)}
    known = {row["passage"]: Written(row["text"], row["tokens"]) for row in first.replies.to_pylist()}
    asked: list[str] = []

    class Asked(Fixed):
        def __call__(self, shown: Any) -> list[Written]:
            asked.extend(document.id for document in shown)
            return super().__call__(shown)

    remembering = Remembering(Asked(), known)
    again = write(notes(7), remembering, CONFIG)
    assert asked == ["d5", "d6"] and remembering.asked == 2
    whole = write(notes(7), Fixed(), CONFIG)
    assert again == whole


def test_the_same_question_is_kept_once() -> None:
    class Same(Fixed):
        def __call__(self, shown: Any) -> list[Written]:
            return [Written(GOOD, 1) for _ in shown]

    made = write(notes(3), Same(), CONFIG)
    assert made.decisions["reason"].to_pylist() == [None, "same_question", "same_question"]
    assert [reason for reason, _ in made.refused] == ["same_question"] * 2


def test_documents_are_chosen_by_their_place_and_cut_to_whole_lines() -> None:
    rows = [
        {"id": f"d{i}", "locator": f"notes/{i}.md", "text": "\n".join([f"Line {k} of note {i}." for k in range(i + 1)])}
        for i in range(30)
    ]
    config = SyntheticConfig(kind="local", documents=10, passage_tokens=64)
    found = choose_documents(pa.Table.from_pylist(rows), config)
    assert found == choose_documents(pa.Table.from_pylist(rows[::-1]), config)
    by_id = {row["id"]: row["text"] for row in rows}
    for document in found:
        assert by_id[document.id].startswith(document.passage) and document.passage.endswith(".")
        assert len(document.passage.split()) >= 12 and estimate_tokens(document.passage) <= 64
    assert len(found) == 10
    assert choose_documents(pa.Table.from_pylist(rows), SyntheticConfig()) == []


@pytest.fixture
def server() -> Iterator[Server]:
    with endpoint(lambda said: GOOD, {"garbage": "I cannot."}) as made:
        yield made


def by_endpoint(server: Server, monkeypatch: pytest.MonkeyPatch, count: int, **changes: Any) -> Synthetic:
    monkeypatch.setenv("WRITER_KEY", "sk-secret")
    config = {"kind": "endpoint", "url": server.url, "model": "m", "api_key_env": "WRITER_KEY", "seconds": 0.7}
    policy = SyntheticConfig.model_validate(config | changes)
    return write(
        [Shown(f"d{i}", f"{i}.md", PASSAGE) for i in range(count)], EndpointWriter(policy, lambda s: None), policy
    )


def test_an_endpoint_writes_and_one_that_fails_costs_the_others_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = ["garbage", "401", "html", *["slow"] * 4, "429"]
    made = by_endpoint(server, monkeypatch, 5)
    reasons = ["other_form", "writer_failed", "writer_unreadable", "writer_timeout", None]
    assert made.decisions["reason"].to_pylist() == reasons
    path, headers, body = server.seen[0]
    assert (path, headers["Authorization"], body["temperature"]) == ("/v1/chat/completions", "Bearer sk-secret", 0)
    assert PASSAGE in body["messages"][-1]["content"] and made.written == 2
    assert made.table["generator_version"].to_pylist() == ["m"]


def test_an_endpoints_tokens_count_against_the_budget(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    made = by_endpoint(server, monkeypatch, 5, most_tokens=250)
    assert made.tokens == 300 and len(server.seen) == 3
    assert made.decisions["reason"].to_pylist()[3:] == ["budget_spent"] * 2


def test_an_endpoint_that_stays_silent_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script = ["503"] * 60
    made = by_endpoint(server, monkeypatch, 12, attempts=3)
    assert set(made.decisions["reason"].to_pylist()) == {"writer_failed"}
    assert len(server.seen) == 5 * 3, "the sixth question is not asked any more"


def test_an_endpoint_is_named_and_its_key_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="url"):
        SyntheticConfig(kind="endpoint", model="m")
    monkeypatch.delenv("WRITER_KEY", raising=False)
    config = SyntheticConfig(kind="endpoint", url="http://127.0.0.1:9/v1", model="m", api_key_env="WRITER_KEY")
    with pytest.raises(ValueError, match="WRITER_KEY: it is not set"):
        EndpointWriter(config)


def test_the_base_model_writes_the_same_each_time_and_counts_its_tokens(tmp_path: Path) -> None:
    tiny_model(tmp_path / "base")
    config = SyntheticConfig(kind="local", answer_tokens=8, passage_tokens=64)
    shown = [*notes(2), Shown("long", "long.md", "word " * 2000)]
    first, again = (LocalWriter(tmp_path / "base", config)(shown) for _ in range(2))
    assert first == again and first[2] == Written(None, 0, "too_long")
    assert first[0].text is not None and first[0].tokens > len(PASSAGE), "this tokenizer has a token per byte"


def dataset(synthetic: pa.Table | None, share: float = 0.5) -> BuiltDataset:
    split = SplitConfig(validation=0.2, test=0.2, largest_held_out=1.0)
    config = DatasetConfig(
        train_size=60, validation_size=20, test_size=20, per_module=40, split=split, synthetic_share=share
    )
    return build_dataset(real_candidates(3, 0.3), real_documents(), no_pairs(), config, synthetic=synthetic)


def written_about_numpy() -> pa.Table:
    """One example for each of the real documents, about its first line."""
    rows = choose_documents(real_documents(), SyntheticConfig(kind="local", documents=1000))

    class Lines(Fixed):
        def __call__(self, shown: Any) -> list[Written]:
            said = []
            for document in shown:
                words = document.passage.replace("\n", " ").split()
                said.append(
                    Written(f"Question: Is it {' '.join(words[:5])}?\nAnswer: It is {' '.join(words[:12])}.", 1)
                )
            return said

    return write(rows, Lines(), CONFIG).table


def test_train_alone_takes_what_a_model_wrote_up_to_its_share() -> None:
    table = written_about_numpy()
    assert table.num_rows > 40
    made = dataset(table)
    rows = [row for row in made.table.to_pylist() if row["task"] == "synthetic"]
    assert {row["split"] for row in rows} == {"train"} and 0 < len(rows) <= 30
    assert {row["author"] for row in rows} == {"model"} and "program" in made.table["author"].to_pylist()
    reasons = {row["id"]: row["reason"] for row in made.decisions.to_pylist()}
    mine = Counter(reasons[name] for name in table["id"].to_pylist())
    assert mine["held_out_document"] > 0 and mine[None] == len(rows)
    assert set(reasons) == set(table["id"].to_pylist()) | set(real_candidates(3, 0.3)["id"].to_pylist())
    assert find_leaks(made.table) == []
    few = dataset(table, 0.05)
    assert Counter(few.table["task"].to_pylist())["synthetic"] == 3
    assert "synthetic_share" in few.decisions["reason"].to_pylist()


def test_without_them_the_dataset_is_what_it_was() -> None:
    plain = dataset(None)
    assert dataset(CANDIDATES_SCHEMA.empty_table()).table.equals(plain.table)
    assert dataset(written_about_numpy(), 0.0).table.num_rows <= plain.table.num_rows
