"""Segments of a text, at whose ends fine-grained rewards are given, and the tokens those ends fall on.

Belongs here: cutting texts and mapping places to tokens. Does not: what a segment is worth (`span_feedback`, reward models).

Granularity follows Wu et al. 2023 (section 4.1): sub-sentence for relevance, sentence for factuality, the whole answer for
completeness. Tokens come from the tokenizer's own offsets; their code re-tokenises every prefix, which moves borders where a
piece begins with a space or merges with what follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Range = tuple[int, int]
Segmenter = Callable[[str], list[Range]]

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_SENTENCE = re.compile(r"[.!?]+[\"')\]]*(?=\s|\Z)|\n\s*\n|\n(?=\s*[-*] )")
_CLAUSE = re.compile(r"[,;:](?=\s)|\s[-–—]+(?=\s)|\n")
_SHORT = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|fig|eq|no|dr|mr|mrs|ms|approx)|\b[A-Za-z]|\b\d+)\.$", re.IGNORECASE)


def sequence(text: str) -> list[Range]:
    """The whole text as one segment."""
    return [(0, len(text))] if text else []


def sentence(text: str) -> list[Range]:
    """Sentences: cut after `.`, `!`, `?` before white space, at blank lines and list items; not in code, not after
    abbreviations, initials and numbers (`e.g.`, `1.`), which end no sentence."""
    return _cut(text, _SENTENCE, lambda before: not _SHORT.search(before))


def sub_sentence(text: str) -> list[Range]:
    """Clauses: sentences cut further at commas, semicolons, colons, dashes and line breaks before white space; not in code."""
    found: list[Range] = []
    for start, end in sentence(text):
        found += [(start + a, start + b) for a, b in _cut(text[start:end], _CLAUSE, lambda before: True)]
    return found


SEGMENTERS: Mapping[str, Segmenter] = {"sub_sentence": sub_sentence, "sentence": sentence, "sequence": sequence}


def segmenter(name: str) -> Segmenter:
    """A segmenter by name. Raises ValueError."""
    if name not in SEGMENTERS:
        raise ValueError(f"no segmenter {name}: there are {', '.join(SEGMENTERS)}")
    return SEGMENTERS[name]


def _cut(text: str, border: re.Pattern[str], ends: Callable[[str], bool]) -> list[Range]:
    """Ranges that cover the text in order, each with something that is no white space (but for a text of white space)."""
    code = [match.span() for match in _CODE.finditer(text)]
    cuts = []
    for match in border.finditer(text):
        at = match.end()
        inside = any(start < at < end for start, end in code)
        if not inside and ends(text[: match.end()].rstrip("\"')]")):
            cuts.append(at)
    ranges: list[Range] = []
    start = 0
    for cut in [*cuts, len(text)]:
        if text[start:cut].strip():
            ranges.append((start, cut))
            start = cut
    if not ranges:
        return sequence(text)
    ranges[-1] = (ranges[-1][0], len(text))  # white space at the end belongs to the last segment
    return ranges


def segment_end_tokens(offsets: Sequence[Range], segments: Sequence[Range], text: str, whole: bool) -> list[int | None]:
    """Index of the token on which each segment ends.

    The last token that holds part of the segment's last character that is no white space: of a character that several tokens
    share, the last of them; of a token that spans two segments, that token for the first of the two.

    Args:
        offsets: (start, end) code points of each token of the text, in order; end tokens and the like have (n, n) and never
            count.
        segments: ranges of the text.
        text: which was tokenised; tokens may cover only its beginning, where generation was cut.
        whole: the segments are the whole sequence (`sequence`): a cut text then ends on its last token.

    Returns:
        For each segment an index, or None where its end was cut away.
    """
    reach = max((end for _, end in offsets), default=0)
    found: list[int | None] = []
    for start, end in segments:
        last = start + len(text[start:end].rstrip()) - 1
        token = next((i for i in range(len(offsets) - 1, -1, -1) if offsets[i][0] <= last < offsets[i][1]), None)
        if token is None and whole and reach:
            token = max(i for i, (a, b) in enumerate(offsets) if b > a)
        found.append(token)
    return found
