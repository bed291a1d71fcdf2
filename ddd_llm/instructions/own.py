"""The user's own examples: chat conversations in JSON Lines.

Here belongs reading and checking them line by line, and governing them as documents are governed. Here does not belong the
decision to mix them in: that is the recipe's (`DatasetConfig.own_examples`), and without it none is read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from ddd_llm.corpus.governance import Masks
from ddd_llm.corpus.rights.permissions import Permissions

QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("locator", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("offset", pa.int64()),
    ]
)
MAX_LINE_BYTES = 1 << 20
_ROLES = ("system", "user", "assistant")

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class OwnExamples:
    """Conversations of one file (its name without folder), in order, the line of each, and the lines refused."""

    name: str
    conversations: tuple[Messages, ...]
    lines: tuple[int, ...]
    quarantine: pa.Table


class _RefusedLine(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_own_examples(path: str | Path) -> OwnExamples:
    """Read conversations `{"messages": [{"role", "content"}, ...]}`, one per line.

    A conversation may begin with a system message, then user and assistant take turns, and the assistant has the last
    word. Lines that do not fit are quarantined (`source, locator, reason, detail, offset`; no text) and the rest is
    kept. Memory
    stays bounded: a line over 1 MiB is refused without being held.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path)
    kept: list[Messages] = []
    lines: list[int] = []
    refused: list[dict[str, Any]] = []
    with path.open("rb") as stream:
        for number, offset, line in _lines(stream):
            try:
                kept.append(_conversation(line))
                lines.append(number)
            except _RefusedLine as refusal:
                refused.append(
                    {
                        "source": "own",
                        "locator": f"{path.name}:{number}",
                        "reason": refusal.reason,
                        "detail": refusal.detail,
                        "offset": offset,
                    }
                )
    return OwnExamples(path.name, tuple(kept), tuple(lines), pa.Table.from_pylist(refused, schema=QUARANTINE_SCHEMA))


def permitted(examples: OwnExamples, source: str, permissions: Permissions, masks: Masks) -> OwnExamples:
    """The conversations that may be learned from, personal identifiers and secrets in them replaced.

    Those held back are quarantined with the reason. To permissions and consents a conversation is the document
    `FILE:LINE` of `source`.
    """
    kept: list[tuple[int, Messages]] = []
    held_back: list[dict[str, Any]] = []
    for line, conversation in zip(examples.lines, examples.conversations, strict=True):
        locator = f"{examples.name}:{line}"
        against = permissions.objection(source, locator)
        if against is None:
            kept.append((line, tuple({**turn, "content": masks.apply(turn["content"])[0]} for turn in conversation)))
        else:
            held_back.append({"source": source, "locator": locator, "reason": against[0], "detail": against[1]})
    quarantine = pa.concat_tables(
        [examples.quarantine, pa.Table.from_pylist(held_back, schema=QUARANTINE_SCHEMA)],
    )
    return OwnExamples(examples.name, tuple(turns for _, turns in kept), tuple(line for line, _ in kept), quarantine)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes | None]]:
    """Number, byte offset and content of each line; content is None where the line is too long."""
    number, offset = 0, 0
    while head := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        size = len(head)
        piece = head
        while not piece.endswith(b"\n") and (piece := stream.readline(MAX_LINE_BYTES)):
            size += len(piece)
        yield number, offset, head if size <= MAX_LINE_BYTES else None
        offset += size


def _conversation(line: bytes | None) -> Messages:
    if line is None:
        raise _RefusedLine("line_too_long", f"line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RefusedLine("invalid_utf8", f"not UTF-8 at byte {error.start} of the line") from None
    if not text.strip():
        raise _RefusedLine("empty_line", "line holds no JSON value")
    return _messages(_parse(text))


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecursionError:
        raise _RefusedLine("too_deep", "JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        reason = "truncated_json" if error.pos >= len(text.rstrip()) else "invalid_json"
        raise _RefusedLine(reason, f"no JSON value: error at character {error.pos} of the line") from None
    except ValueError:
        raise _RefusedLine("invalid_json", "a number has too many digits") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _RefusedLine("duplicate_key", "an object names a key twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise _RefusedLine("invalid_json", f"{name} is no JSON value")


def _messages(value: Any) -> Messages:
    if not isinstance(value, dict) or set(value) != {"messages"} or not isinstance(value["messages"], list):
        raise _RefusedLine("wrong_shape", 'expected an object with the one key "messages", a list')
    messages = value["messages"]
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in _ROLES:
            raise _RefusedLine("wrong_message", f"every message needs a role of {list(_ROLES)} and a content, no more")
        _check_content(message["content"])
    turns = [message["role"] for message in messages]
    turns = turns[1:] if turns[:1] == ["system"] else turns
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        raise _RefusedLine("wrong_turns", "user and assistant must take turns, the assistant last")
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)


def _check_content(content: Any) -> None:
    if not isinstance(content, str) or not content.strip():
        raise _RefusedLine("empty_content", "a message's content must be a text that is not blank")
    if "\0" in content:
        raise _RefusedLine("nul_character", "a message's content holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise _RefusedLine("lone_surrogate", "a message's content holds half of a surrogate pair")
