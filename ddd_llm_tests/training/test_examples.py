"""What becomes of an example: tokens, labels, or a reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.training.errors import BadData
from ddd_llm.training.examples import IGNORED, RefusedError, encode, parse_messages, read_examples
from ddd_llm_tests.training.tiny import conversation, tiny_rows, tiny_tokenizer, write_rows

TOKENIZER: Any = tiny_tokenizer()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda s: s.strip() != "")


def answer_of(encoded: Any) -> str:
    return TOKENIZER.decode([label for label in encoded.labels if label != IGNORED])


@given(TEXT, TEXT)
@settings(max_examples=100)
def test_loss_is_on_the_answer_and_nothing_else(question: str, answer: str) -> None:
    messages = parse_messages(conversation(question, answer))
    encoded = encode("x", messages, TOKENIZER, 4_000)
    prompt = TOKENIZER.apply_chat_template(messages[:-1], tokenize=True, add_generation_prompt=True)["input_ids"]
    assert encoded.input_ids[: len(prompt)] == prompt, "the prompt has the tokens it has when the model is asked"
    assert encoded.labels[: len(prompt)] == [IGNORED] * len(prompt)
    assert encoded.labels[len(prompt) :] == encoded.input_ids[len(prompt) :]
    assert answer_of(encoded) == f"{answer}<|im_end|>", "the end of turn is learnt, the template's line break is not"


def test_every_assistant_turn_is_learnt() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "2"},
    ]
    encoded = encode("x", messages, TOKENIZER, 400)
    assert answer_of(encoded) == "1<|im_end|>\n2<|im_end|>"
    rendered = TOKENIZER.apply_chat_template(messages, tokenize=False).removesuffix("\n")
    assert TOKENIZER.decode(encoded.input_ids) == rendered


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "malformed_messages"),
        ("", "malformed_messages"),
        ("{", "malformed_messages"),
        ("[]", "malformed_messages"),
        ('{"role": "user"}', "malformed_messages"),
        ('["hello"]', "malformed_messages"),
        ('[{"role": "robot", "content": "x"}]', "malformed_messages"),
        ('[{"role": "user", "content": 5}]', "malformed_messages"),
        ('[{"role": "assistant", "content": "\\ud800"}]', "malformed_messages"),
        ("[" * 100_000, "malformed_messages"),
        ('[{"role": "user", "content": "x"}]', "no_assistant_answer"),
        (conversation("x", "  \n"), "no_assistant_answer"),
    ],
)
def test_malformed_conversations(text: str | None, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        parse_messages(text)


def test_too_long_is_refused_not_cut() -> None:
    messages = parse_messages(conversation("q", "a" * 50))
    length = len(encode("x", messages, TOKENIZER, 400).input_ids)
    # One token more is allowed for the line break after the answer, which is encoded and then left out.
    assert len(encode("x", messages, TOKENIZER, length + 1).input_ids) == length
    with pytest.raises(RefusedError, match="too_long"):
        encode("x", messages, TOKENIZER, length - 1)


def test_templates_that_fail_or_rewrite() -> None:
    tokenizer: Any = tiny_tokenizer()
    messages = parse_messages(conversation("q", "a"))
    tokenizer.chat_template = "{{ raise_exception(messages[0]['content']) }}"
    with pytest.raises(RefusedError, match=r"^template_failed$"):
        encode("x", messages, tokenizer, 100)
    tokenizer.chat_template = "{{ messages|length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(RefusedError, match="template_not_incremental"):
        encode("x", messages, tokenizer, 100)


def test_dataset_is_counted_whole(tmp_path: Path) -> None:
    rows: list[Any] = [
        *tiny_rows(20),
        {"id": "e000", "split": "train", "messages": conversation("again", "1")},
        {"id": "long", "split": "train", "messages": conversation("long", "x" * 500)},
        {"id": None, "split": "train", "messages": conversation("a", "b")},
        {"id": "bad", "split": "validation", "messages": "{"},
        {"id": "secret", "split": "test", "messages": "{"},
    ]
    found = read_examples(write_rows(tmp_path / "d.parquet", rows), TOKENIZER, 160, 3)
    assert found.refusals() == {"duplicate_id": 1, "malformed_messages": 1, "no_id": 1, "too_long": 1}
    assert [identity for identity, _ in found.refused] == ["e000", "long", "", "bad"]
    assert len(found.train) == 16
    assert len(found.validation) == 3
    assert not {e.id for e in found.train} & {e.id for e in found.validation}


def test_validation_examples_stay_when_the_train_split_grows(tmp_path: Path) -> None:
    small = tiny_rows(30)
    more = [{"id": f"new{i}", "split": "train", "messages": conversation("n", "n")} for i in range(9)]
    chosen = [
        [e.id for e in read_examples(write_rows(tmp_path / "d.parquet", rows), TOKENIZER, 160, 3).validation]
        for rows in (small, more + small)
    ]
    assert chosen[0] == chosen[1]


def test_nothing_to_train_on(tmp_path: Path) -> None:
    rows = [{"id": "a", "split": "train", "messages": json.dumps([])}]
    with pytest.raises(BadData, match="1 malformed_messages"):
        read_examples(write_rows(tmp_path / "d.parquet", rows), TOKENIZER, 160, 3)


def test_no_dataset(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 is not enough")
    with pytest.raises(BadData, match="Parquet"):
        read_examples(broken, TOKENIZER, 160, 3)
    with pytest.raises(BadData, match="Parquet"):
        read_examples(tmp_path / "absent.parquet", TOKENIZER, 160, 3)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"id": ["a"], "split": ["train"]}), other)
    with pytest.raises(BadData):
        read_examples(other, TOKENIZER, 160, 3)
    pq.write_table(pa.table({"id": [1], "split": ["train"], "messages": ["[]"]}), other)
    with pytest.raises(BadData, match="id do not hold strings"):
        read_examples(other, TOKENIZER, 160, 3)
