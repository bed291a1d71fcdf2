"""A corpus with planted near-duplicates, from the texts of installed packages. Here: making it. Not here: measuring.

Seven documents in ten are pieces of about 1.8 KB of the packages' source and documentation files. Three in ten are planted:
copies, near copies above and below the threshold, chains whose ends are unlike, and many copies of two templates: one with
few slots to fill in (its copies are near-duplicates), one with many (its copies are not, though they share bands).
"""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import pyarrow as pa

SUFFIXES = {".py", ".pyi", ".md", ".rst", ".txt"}
PIECE = 1800


def pieces(wanted: int, generator: random.Random) -> list[str]:
    """So many different texts. Where the packages hold fewer, more are made of lines of two of them in turn."""
    found: list[str] = []
    seen: set[int] = set()
    root = Path(sysconfig.get_paths()["purelib"])
    for path in sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file()):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        begin = 0
        while len(text) - begin > 200:
            end = text.find("\n", begin + PIECE)
            end = len(text) if end < 0 or end - begin > 2 * PIECE else end
            piece = text[begin : min(end, begin + 2 * PIECE)]
            begin = end + 1
            if (mark := hash(piece)) not in seen:
                seen.add(mark)
                found.append(piece)
    generator.shuffle(found)
    real = len(found)
    while len(found) < wanted:
        one, other = (found[generator.randrange(real)].split("\n") for _ in range(2))
        generator.shuffle(one)
        found.append("\n".join(line for pair in zip(one, other, strict=False) for line in pair))
    return found[:wanted]


def edited(text: str, share: float, generator: random.Random) -> str:
    """The text with a share of its words replaced, one at a time."""
    words = text.split(" ")
    for _ in range(max(1, round(share * len(words)))):
        words[generator.randrange(len(words))] = f"x{generator.randrange(10**6)}"
    return " ".join(words)


def filled_in(template: str, slots: int, generator: random.Random) -> str:
    """A template's words with `slots` of them, evenly spread and always the same ones, filled in anew."""
    words = template.split()
    for slot in range(slots):
        words[(slot * len(words)) // slots] = f"x{generator.randrange(10**6)}"
    return " ".join(words)


def planted_corpus(documents: int, seed: int = 1) -> tuple[pa.Table, list[tuple[str, str]]]:
    """(columns id, text in random order; the planted pairs (earlier or later, in either order) of ids)."""
    generator = random.Random(seed)
    base = pieces(max(1, round(0.7 * documents)), generator)
    texts, pairs = list(base), []
    templates = [" ".join(piece.split()[:150]) for piece in base if len(piece.split()) >= 150][:2]
    hot = [len(texts) + place for place in range(len(templates))]
    texts += [filled_in(template, 3, generator) for template in templates]
    while len(texts) < documents:
        origin = generator.randrange(len(base))
        kind = generator.random()
        if kind < 0.2:
            texts.append(texts[origin])
        elif kind < 0.65:
            texts.append(edited(texts[origin], generator.choice([0.002, 0.005, 0.01, 0.015, 0.02]), generator))
        elif kind < 0.8:
            texts.append(edited(texts[origin], generator.choice([0.05, 0.08, 0.12]), generator))
        elif kind < 0.9:
            for _ in range(generator.randrange(2, 5)):
                if len(texts) < documents:
                    texts.append(edited(texts[origin], 0.015, generator))
                    pairs.append((origin, len(texts) - 1))
                    origin = len(texts) - 1
            continue
        else:
            which = generator.randrange(len(templates))
            origin = hot[which]
            texts.append(filled_in(templates[which], (3, 12)[which], generator))
        pairs.append((origin, len(texts) - 1))
    texts = texts[:documents]
    order = list(range(documents))
    generator.shuffle(order)
    names = [f"d{place:07}" for place in range(documents)]
    name_of = {row: names[place] for place, row in enumerate(order)}
    known = [(name_of[a], name_of[b]) for a, b in pairs if a < documents and b < documents]
    return pa.table({"id": names, "text": pa.array([texts[row] for row in order], pa.large_string())}), known
