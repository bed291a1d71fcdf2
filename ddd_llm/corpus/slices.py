"""Slices of a corpus: which kind each document is, by source, by language and by proxies of how people write.

Here: the slices and what they are told by. Not here: whether slices are treated alike (`fairness`).

The last three are PROXIES. A proxy says nothing of any one author; it can only hint that a rule may treat ways of writing
unequally. They look at the whole text, code included, and are told of English (and undetermined) texts only:

- spelling: British or American, by words that differ between the two (colour/color, organise/organize);
- markers: words and phrases of English that style guides call non-standard or regional (ain't, gonna, y'all, "do the
  needful"), of the kind collected in S. L. Blodgett, L. Green, B. O'Connor (EMNLP 2016) and the eWAVE atlas;
- readability: bands of the Flesch-Kincaid grade (J. P. Kincaid and others 1975), syllables counted as groups of vowels.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Dimension = Literal["source", "language", "spelling", "markers", "readability"]

_BRITISH = (
    r"(?i)\b(?:(?:colour|behaviour|favour|neighbour|honour|labour|flavour|rumour)(?:s|ed|ing|ful|al|able|ite)?|"
    r"cent(?:re|red|ring)|metres?|fibres?|theatres?|catalogues?|dialogues|licences?|defence|offence|grey|"
    r"(?:initiali|normali|organi|optimi|seriali|synchroni|visuali|generali|recogni|summari|utili|minimi|maximi|"
    r"speciali|standardi|customi|emphasi)s(?:e[ds]?|ing|ation)|analys(?:e[ds]?|ing)|"
    r"(?:cancel|label|model|travel|signal)l(?:ed|ing)|whilst|artefacts?)\b"
)
_AMERICAN = (
    r"(?i)\b(?:(?:color|behavior|favor|neighbor|honor|labor|flavor|rumor)(?:s|ed|ing|ful|al|able|ite)?|"
    r"cent(?:er|ered|ering)|meters?|fibers?|theaters?|catalogs?|defense|offense|gray|"
    r"(?:initiali|normali|organi|optimi|seriali|synchroni|visuali|generali|recogni|summari|utili|minimi|maximi|"
    r"speciali|standardi|customi|emphasi)z(?:e[ds]?|ing|ation)|analyz(?:e[ds]?|ing)|"
    r"(?:cancel|label|model|travel|signal)(?:ed|ing)|artifacts?)\b"
)
_MARKERS = (
    r"(?i)\b(?:ain['’]?t|gonna|wanna|gotta|finna|tryna|y['’]?all|dunno|lemme|gimme|imma|cuz|tho|innit|nowt|summat|"
    r"do the needful|prepone[ds]?|revert back|(?:he|she|it) don['’]t|(?:we|they|you) was|(?:i|they|we) be \w+ing|"
    r"could of|should of|would of|me and (?:him|her|them)|them (?:things|people|ones))\b"
)
_LETTERS = np.isin(np.arange(256), list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
_VOWELS = np.isin(np.arange(256), list(b"AEIOUYaeiouy"))
_STOPS = np.isin(np.arange(256), list(b".!?"))
_BANDS = ((6.0, "grade below 6"), (10.0, "grade 6 to 10"), (14.0, "grade 10 to 14"), (np.inf, "grade 14 and above"))
_LEAST_WORDS = 30


def slices(documents: pa.Table) -> pa.Table:
    """Which slice of each dimension every document belongs to.

    Args:
        documents: columns `id, source, language, text`; none of `id`, `text` null.

    Returns:
        Columns `id` and one per dimension (strings), in the rows' order. Null where a dimension says nothing of a document:
        its language could not be told (`und`), it is not English, it has fewer than 30 words to measure readability on.
    """
    text, languages = documents["text"], documents["language"]
    english = pc.is_in(languages, value_set=pa.array(["en", "und"]))
    nothing = pa.scalar(None, pa.string())
    british, american = (pc.match_substring_regex(text, pattern) for pattern in (_BRITISH, _AMERICAN))
    spelling = pc.if_else(british, pc.if_else(american, "both", "British"), pc.if_else(american, "American", "neither"))
    markers = pc.if_else(pc.match_substring_regex(text, _MARKERS), "some", "none")
    columns = {
        "source": pc.fill_null(documents["source"], "unknown"),
        "language": pc.if_else(pc.equal(languages, "und"), nothing, languages),
        "spelling": pc.if_else(english, spelling, nothing),
        "markers": pc.if_else(english, markers, nothing),
        "readability": pc.if_else(english, _readability(text), nothing),
    }
    return pa.table({"id": documents["id"], **columns})


def _readability(text: pa.ChunkedArray) -> pa.Array:
    parts = [
        _counts(batch.column(0)) for batch in pa.table({"text": text}).to_batches(max_chunksize=4096) if len(batch)
    ]
    words, syllables, sentences = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0))
    grade = 0.39 * words / np.maximum(sentences, 1) + 11.8 * syllables / np.maximum(words, 1) - 15.59
    names = np.array([name for _, name in _BANDS], object)
    band = names[np.searchsorted([top for top, _ in _BANDS], grade, side="right").clip(max=len(_BANDS) - 1)]
    return pa.array(band, pa.string(), mask=words < _LEAST_WORDS)


def _counts(text: pa.Array) -> np.ndarray:
    # Words (runs of ASCII letters), syllables (runs of vowels), sentences (runs of stops before white space or the end).
    raw = text.cast(pa.large_string())
    ends = np.frombuffer(raw.buffers()[1], np.int64)[raw.offset : raw.offset + len(raw) + 1]
    data = np.frombuffer(raw.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    # A gap before each text, so that no run goes from one into the next.
    gaps = ends[:-1] - ends[0] + np.arange(len(raw))
    spaced = np.insert(data, ends[:-1] - ends[0], ord(" "))
    after = np.append(spaced[1:], ord(" "))
    starts = [mask[spaced] & ~mask[np.append(ord(" "), spaced[:-1])] for mask in (_LETTERS, _VOWELS)]
    starts.append(_STOPS[spaced] & (after <= ord(" ")))
    return np.stack([np.add.reduceat(part.astype(np.int64), gaps) for part in starts]).astype(np.float64)
