"""The user's own examples: chat conversations in JSON Lines.

Here belongs reading and checking them line by line, and governing them as documents are governed. Here does not belong the
decision to mix them in: that is the recipe's (`DatasetConfig.own_examples`), and without it none is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
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
class Conversation:
    """One line of a file.

    Attributes:
        line: its number, from 1.
        messages: its turns.
        source_ids: documents of the corpus that it says it was made from.
        guideline: name and version of the guideline that it was written under; None where there was none.
    """

    line: int
    messages: Messages
    source_ids: tuple[str, ...] = ()
    guideline: str | None = None


@dataclass(frozen=True)
class OwnExamples:
    """Conversations of one file (its name without folder), in order, and the lines refused."""

    name: str
    conversations: tuple[Conversation, ...]
    quarantine: pa.Table

    def without(self, refused: Mapping[int, Mapping[str, Any]]) -> OwnExamples:
        """The others, and why those at some lines are refused: source, reason and detail of each."""
        rows = [{"locator": f"{self.name}:{line}", **why} for line, why in sorted(refused.items())]
        kept = tuple(one for one in self.conversations if one.line not in refused)
        more = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
        return OwnExamples(self.name, kept, pa.concat_tables([self.quarantine, more]))


class _RefusedLine(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_own_examples(path: str | Path) -> OwnExamples:
    """Read conversations `{"messages": [{"role", "content"}, ...]}`, one per line, with what else a `Conversation` has
    beside them.

    A conversation may begin with a system message, then user and assistant take turns, and the assistant has the last
    word. Lines that do not fit are quarantined (`source, locator, reason, detail, offset`; no text) and the rest is
    kept. Memory stays bounded: a line over 1 MiB is refused without being held.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path)
    kept: list[Conversation] = []
    refused: list[dict[str, Any]] = []
    with path.open("rb") as stream:
        for number, offset, line in _lines(stream):
            try:
                kept.append(_conversation(number, line))
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
    return OwnExamples(path.name, tuple(kept), pa.Table.from_pylist(refused, schema=QUARANTINE_SCHEMA))


def permitted(examples: OwnExamples, source: str, permissions: Permissions, masks: Masks) -> OwnExamples:
    """The conversations that may be learned from, personal identifiers and secrets in them replaced.

    Those held back are quarantined with the reason. To permissions and consents a conversation is the document
    `FILE:LINE` of `source`.
    """
    held_back: dict[int, dict[str, str]] = {}
    for one in examples.conversations:
        against = permissions.objection(source, f"{examples.name}:{one.line}")
        if against is not None:
            held_back[one.line] = {"source": source, "reason": against[0], "detail": against[1]}
    left = examples.without(held_back)
    masked = [
        replace(one, messages=tuple({**turn, "content": masks.apply(turn["content"])[0]} for turn in one.messages))
        for one in left.conversations
    ]
    return replace(left, conversations=tuple(masked))


def resting_on(examples: OwnExamples, curated: Set[str], held_out: Set[str]) -> OwnExamples:
    """Without the conversations that were made from a document that is not (or no longer) in the corpus, or is held out.

    Refused lines have the reason `document_not_curated` or `document_held_out`.
    """
    refused: dict[int, dict[str, str]] = {}
    for one in examples.conversations:
        if absent := sorted(set(one.source_ids) - curated):
            why = ("document_not_curated", f"made from a document that is not in the curated corpus: {absent[0]}")
        elif tested := sorted(set(one.source_ids) & held_out):
            why = ("document_held_out", f"made from a held-out document: {tested[0]}")
        else:
            continue
        refused[one.line] = {"source": "own", "reason": why[0], "detail": why[1]}
    return examples.without(refused)


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


def _conversation(number: int, line: bytes | None) -> Conversation:
    if line is None:
        raise _RefusedLine("line_too_long", f"line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RefusedLine("invalid_utf8", f"not UTF-8 at byte {error.start} of the line") from None
    if not text.strip():
        raise _RefusedLine("empty_line", "line holds no JSON value")
    value = _parse(text)
    if not isinstance(value, dict) or not {"messages"} <= set(value) <= {"messages", "source_ids", "guideline"}:
        raise _RefusedLine(
            "wrong_shape", 'expected an object with "messages", and perhaps "source_ids" and "guideline"'
        )
    sources, guideline = value.get("source_ids", []), value.get("guideline")
    if not isinstance(sources, list) or not all(isinstance(name, str) and name for name in sources):
        raise _RefusedLine("wrong_shape", "source_ids is a list of ids of documents")
    if guideline is not None and (not isinstance(guideline, str) or not guideline.strip()):
        raise _RefusedLine("wrong_shape", "guideline is name and version, as one text")
    return Conversation(number, _messages(value["messages"]), tuple(dict.fromkeys(sources)), guideline)


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


def _messages(messages: Any) -> Messages:
    if not isinstance(messages, list):
        raise _RefusedLine("wrong_shape", "messages is a list")
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
