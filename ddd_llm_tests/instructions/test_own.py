"""The user's own examples: what is kept, what is refused and why."""

import json
from pathlib import Path

import pytest

from ddd_llm.instructions.own import MAX_LINE_BYTES, read_own_examples


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
    assert [(m["role"], m["content"]) for m in conversation] == turns


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.touch()
    own = read_own_examples(path)
    assert own.conversations == ()
    assert own.quarantine.num_rows == 0
