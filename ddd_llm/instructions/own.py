"""The user's own examples: chat conversations in JSON Lines.

Here belongs reading and checking them line by line, and governing them as documents are governed. Here does not belong the
decision to mix them in: that is the recipe's (`DatasetConfig.own_examples`), and without it none is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
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
class OwnExamples:
    """Conversations of one file (its name without folder), in order; of each its line and the ids of the documents it says it was
    made from; and the lines refused."""

    name: str
    conversations: tuple[Messages, ...]
    lines: tuple[int, ...]
    sources: tuple[tuple[str, ...], ...]
    quarantine: pa.Table

    def only(self, kept: Sequence[int], refused: Sequence[Mapping[str, Any]] = ()) -> OwnExamples:
        """The conversations at some places, with more refused lines."""
        return replace(
            self,
            conversations=tuple(self.conversations[i] for i in kept),
            lines=tuple(self.lines[i] for i in kept),
            sources=tuple(self.sources[i] for i in kept),
            quarantine=pa.concat_tables(
                [self.quarantine, pa.Table.from_pylist(list(refused), schema=QUARANTINE_SCHEMA)]
            ),
        )


class _RefusedLine(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_own_examples(path: str | Path) -> OwnExamples:
    """Read conversations `{"messages": [{"role", "content"}, ...]}`, one per line; `source_ids` beside them lists documents
    of the corpus that a conversation was made from.

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
    sources: list[tuple[str, ...]] = []
    refused: list[dict[str, Any]] = []
    with path.open("rb") as stream:
        for number, offset, line in _lines(stream):
            try:
                conversation, documents = _conversation(line)
                kept.append(conversation)
                lines.append(number)
                sources.append(documents)
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
    quarantine = pa.Table.from_pylist(refused, schema=QUARANTINE_SCHEMA)
    return OwnExamples(path.name, tuple(kept), tuple(lines), tuple(sources), quarantine)


def permitted(examples: OwnExamples, source: str, permissions: Permissions, masks: Masks) -> OwnExamples:
    """The conversations that may be learned from, personal identifiers and secrets in them replaced.

    Those held back are quarantined with the reason. To permissions and consents a conversation is the document
    `FILE:LINE` of `source`.
    """
    kept: list[int] = []
    held_back: list[dict[str, Any]] = []
    for place, line in enumerate(examples.lines):
        locator = f"{examples.name}:{line}"
        against = permissions.objection(source, locator)
        if against is None:
            kept.append(place)
        else:
            held_back.append({"source": source, "locator": locator, "reason": against[0], "detail": against[1]})
    left = examples.only(kept, held_back)
    masked = [
        tuple({**turn, "content": masks.apply(turn["content"])[0]} for turn in turns) for turns in left.conversations
    ]
    return replace(left, conversations=tuple(masked))


def resting_on(examples: OwnExamples, curated: Set[str], held_out: Set[str]) -> OwnExamples:
    """Without the conversations that were made from a document that is not (or no longer) in the corpus, or is held out.

    Refused lines have the reason `document_not_curated` or `document_held_out`.
    """
    kept: list[int] = []
    refused: list[dict[str, Any]] = []
    for place, (line, sources) in enumerate(zip(examples.lines, examples.sources, strict=True)):
        head = {"source": "own", "locator": f"{examples.name}:{line}"}
        if absent := sorted(set(sources) - curated):
            detail = f"made from a document that is not in the curated corpus: {absent[0]}"
            refused.append({**head, "reason": "document_not_curated", "detail": detail})
        elif tested := sorted(set(sources) & held_out):
            refused.append(
                {**head, "reason": "document_held_out", "detail": f"made from a held-out document: {tested[0]}"}
            )
        else:
            kept.append(place)
    return examples.only(kept, refused)


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


def _conversation(line: bytes | None) -> tuple[Messages, tuple[str, ...]]:
    if line is None:
        raise _RefusedLine("line_too_long", f"line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RefusedLine("invalid_utf8", f"not UTF-8 at byte {error.start} of the line") from None
    if not text.strip():
        raise _RefusedLine("empty_line", "line holds no JSON value")
    value = _parse(text)
    if not isinstance(value, dict) or not {"messages"} <= set(value) <= {"messages", "source_ids"}:
        raise _RefusedLine("wrong_shape", 'expected an object with "messages", a list, and perhaps "source_ids"')
    sources = value.get("source_ids", [])
    if not isinstance(sources, list) or not all(isinstance(name, str) and name for name in sources):
        raise _RefusedLine("wrong_shape", "source_ids is a list of ids of documents")
    return _messages(value["messages"]), tuple(dict.fromkeys(sources))


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
