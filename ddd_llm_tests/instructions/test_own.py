"""The user's own examples: what is kept, what is refused and why."""

import json
from pathlib import Path

import pytest

from ddd_llm.instructions.own import MAX_LINE_BYTES, permitted, read_own_examples
from ddd_llm_tests.corpus.rights.builders import EMailMask, permissions, whole


def line(*turns: tuple[str, object]) -> bytes:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]}).encode()


GOOD = line(("user", "Hi"), ("assistant", "Hello"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "truncated_json"),
        (GOOD[:-3], "truncated_json"),
        (b"not json", "invalid_json"),
        (b'{"messages": NaN}', "invalid_json"),
        (b'{"messages": ' + b"1" * 5000 + b"}", "invalid_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"messages": [], "messages": []}', "duplicate_key"),
        (b"\xff\xfe", "invalid_utf8"),
        (b"", "empty_line"),
        (b"[]", "wrong_shape"),
        (b'{"messages": {}}', "wrong_shape"),
        (b'{"messages": [], "more": 1}', "wrong_shape"),
        (b'{"source_ids": []}', "wrong_shape"),
        (GOOD[:-1] + b', "source_ids": "d1"}', "wrong_shape"),
        (GOOD[:-1] + b', "source_ids": [""]}', "wrong_shape"),
        (GOOD[:-1] + b', "guideline": 3}', "wrong_shape"),
        (b'{"messages": []}', "wrong_turns"),
        (b'{"messages": ["x"]}', "wrong_message"),
        (line(("tool", "x")), "wrong_message"),
        (line(("user", "x")), "wrong_turns"),
        (line(("assistant", "x"), ("user", "y")), "wrong_turns"),
        (line(("system", "x")), "wrong_turns"),
        (line(("user", " "), ("assistant", "y")), "empty_content"),
        (line(("user", 3), ("assistant", "y")), "empty_content"),
        (line(("user", "a\0b"), ("assistant", "y")), "nul_character"),
        (line(("user", "\ud800"), ("assistant", "y")), "lone_surrogate"),
        (b'"' + b"x" * (MAX_LINE_BYTES + 10) + b'"', "line_too_long"),
    ],
)
def test_bad_lines_are_quarantined_with_their_place_and_the_rest_is_kept(
    tmp_path: Path, bad: bytes, reason: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(GOOD + b"\n" + bad + b"\n" + GOOD)
    own = read_own_examples(path)
    assert len(own.conversations) == 2
    assert own.quarantine.to_pylist() == [
        {
            "source": "own",
            "locator": "mine.jsonl:2",
            "reason": reason,
            "detail": own.quarantine["detail"][0].as_py(),
            "offset": len(GOOD) + 1,
        }
    ]


def test_a_conversation_with_system_and_several_turns_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    turns = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    path.write_bytes(line(*turns) + b"\r\n")
    (conversation,) = read_own_examples(path).conversations
    assert [(m["role"], m["content"]) for m in conversation.messages] == turns


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.touch()
    own = read_own_examples(path)
    assert own.conversations == ()
    assert own.quarantine.num_rows == 0


RIGHTS = {
    "owner": "Editors", "licence": "MIT", "licence_evidence": "LICENSE", "legal_basis": "licence", "purpose": ["training"],
    "collected": "2026-01-01",
}  # fmt: skip


@pytest.mark.parametrize(
    ("rights", "kept", "reasons"),
    [
        ({}, 2, []),
        ({"licence": None}, 0, ["no_licence", "no_licence"]),
        ({"purpose": ["evaluation"]}, 0, ["no_training_purpose", "no_training_purpose"]),
        ({"legal_basis": "consent"}, 1, ["no_consent"]),
    ],
)
def test_a_conversation_needs_the_permission_that_a_document_needs(
    tmp_path: Path, rights: dict[str, object], kept: int, reasons: list[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(line(("user", "Write to a@b.org"), ("assistant", "Done")) + b"\n" + GOOD)
    consent = {"sources": ["mine"], "locators": ["mine.jsonl:2"]}
    governed = permissions([whole("mine", **{**RIGHTS, **rights})], [consent])
    own = permitted(read_own_examples(path), "mine", governed, EMailMask())
    assert (len(own.conversations), own.quarantine["reason"].to_pylist()) == (kept, reasons)
    assert set(own.quarantine["locator"].to_pylist()) <= {"mine.jsonl:1", "mine.jsonl:2"}
    if not rights:
        assert own.conversations[0].messages[0]["content"] == "Write to <EMAIL>"
