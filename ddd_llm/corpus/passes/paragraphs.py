"""Paragraphs of a text: where they stand, when two are the same, which are code.

Here: the definition in plain Python, and the kernel that hashes the paragraphs of a whole block of texts. Not here: which
paragraphs are boilerplate (`boilerplate`).

A paragraph is a longest run of lines that are not blank; lines end with a line feed. Two are the same if their
words, split at white space and in lower case, are.
"""

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.passes.blocks import bytes_of

_FENCE = re.compile(r"\s*(```+|~~~+)")
_LITERAL = re.compile(
    r"\s*\.\. (code|sourcecode|math|doctest|testcode|testsetup|testoutput|ipython|plot|parsed-literal)"
)


def spans(text: str) -> list[tuple[int, int]]:
    """Begin and end (in characters) of each paragraph; the end leaves out the last line's line feed."""
    found: list[tuple[int, int]] = []
    begin: int | None = None
    position = end = 0
    for line in text.split("\n"):
        if line and not line.isspace():
            begin = position if begin is None else begin
            end = position + len(line)
        elif begin is not None:
            found.append((begin, end))
            begin = None
        position += len(line) + 1
    if begin is not None:
        found.append((begin, end))
    return found


def key(paragraph: str) -> str:
    """What two equal paragraphs have in common."""
    return " ".join(paragraph.lower().split())


def code(text: str, paragraphs: list[tuple[int, int]]) -> list[bool]:
    """For each paragraph of the text whether it is code: touched by a fenced block, a doctest, or a literal block
    (indented deeper than the line with `::` or the directive above it)."""
    found: list[bool] = []
    fenced = False
    literal: int | None = None
    for begin, end in paragraphs:
        lines = text[begin:end].split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        if literal is not None and indent <= literal:
            literal = None
        is_code = fenced or literal is not None or lines[0].lstrip().startswith(">>>")
        for line in lines:
            if _FENCE.match(line):
                fenced, is_code = not fenced, True
        if literal is None:
            last = next(line for line in reversed(lines) if line.strip())
            opens = _LITERAL.match(lines[0]) or (last.rstrip().endswith("::") and not last.lstrip().startswith(".."))
            literal = len(last) - len(last.lstrip()) if opens and not fenced else None
            is_code = is_code or bool(_LITERAL.match(lines[0]))
        found.append(is_code)
    return found


def hashes(
    texts: pa.Array,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The paragraphs of a large_string array without nulls.

    Returns:
        One entry per paragraph, in order: 64-bit hash of `key` (FNV-1a, finished as in SplitMix64), characters of the key, row of
        the text, and place among the paragraphs of its text.
    """
    data, offsets = bytes_of(pc.utf8_lower(texts))  # type: ignore[attr-defined]
    most = (int(offsets[-1] - offsets[0])) // 3 + len(texts)
    found = np.empty(most, np.uint64)
    sizes, rows, places = np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64)
    used = _paragraphs(data, offsets, found, sizes, rows, places)
    return found[:used], sizes[:used], rows[:used], places[:used]


@kernel
def _paragraphs(data, offsets, found, sizes, rows, places):
    used = 0
    basis = np.uint64(0xCBF29CE484222325)
    prime = np.uint64(0x100000001B3)
    for row in range(len(offsets) - 1):
        i = offsets[row]
        stop = offsets[row + 1]
        place = 0
        inside = False
        pending = False
        blank = True
        state = basis
        size = 0
        while i <= stop:
            # The end of the text closes a paragraph, as a blank line does.
            end = i == stop
            white = 1
            line = False
            if not end:
                byte = data[i]
                line = byte == 10
                if byte <= 32:
                    if not (9 <= byte <= 13 or 28 <= byte <= 32):
                        white = 0
                elif byte == 0xC2 and i + 1 < stop and (data[i + 1] == 0x85 or data[i + 1] == 0xA0):
                    white = 2
                elif (byte == 0xE1 or byte == 0xE3) and i + 2 < stop and data[i + 2] == 0x80:
                    white = 3 if data[i + 1] == (0x9A if byte == 0xE1 else 0x80) else 0
                elif byte == 0xE2 and i + 2 < stop and data[i + 1] == 0x80:
                    last = data[i + 2]
                    white = 3 if last <= 0x8A or last == 0xA8 or last == 0xA9 or last == 0xAF else 0
                elif byte == 0xE2 and i + 2 < stop and data[i + 1] == 0x81 and data[i + 2] == 0x9F:
                    white = 3
                else:
                    white = 0
            if end or line:
                if inside and (blank or end):
                    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                    found[used] = state ^ (state >> np.uint64(31))
                    sizes[used] = size
                    rows[used] = row
                    places[used] = place
                    used += 1
                    place += 1
                    inside = False
                blank = True
                pending = True
                i += 1
                continue
            if white:
                pending = True
                i += white
                continue
            if not inside:
                inside = True
                state = basis
                size = 0
            elif pending:
                state = (state ^ np.uint64(32)) * prime
                size += 1
            pending = False
            blank = False
            state = (state ^ np.uint64(byte)) * prime
            size += (byte & 0xC0) != 0x80
            i += 1
    return used
