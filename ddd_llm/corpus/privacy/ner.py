"""Names by a spaCy pipeline that the policy names.

Belongs here: loading the pipeline, its labels as kinds. Does not belong here: any rule of our own. A model's finds are the
weakest evidence, and erasure must not rest on them: declared people come first (`subjects`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength

_CHUNK = 50_000


class NerUnavailable(RuntimeError):
    """The model that the policy names cannot be loaded; the message names the cure."""


@dataclass(frozen=True)
class Ner:
    """A spaCy pipeline: a folder, or the name of an installed package, and which of its labels are people."""

    model: str
    labels: tuple[str, ...] = ("PERSON", "PER")

    def find(self, text: str) -> Iterator[Found]:
        """Entities with one of the labels. Raises NerUnavailable."""
        for start, end in _chunks(text):
            for entity in self._pipeline(text[start:end]).ents:
                if entity.label_ in self.labels and any(character.isalpha() for character in entity.text):
                    value = " ".join(entity.text.casefold().split())
                    yield Found(Kind.PERSON, start + entity.start_char, start + entity.end_char, value, Strength.MODEL)

    def identity(self) -> str:
        """Tells two models apart: name and version of a package, digest of a folder's files. Raises NerUnavailable."""
        folder = Path(self.model)
        if folder.is_dir():
            state = sha256()
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                state.update(f"{file.relative_to(folder).as_posix()}\0".encode() + sha256(file.read_bytes()).digest())
            return state.hexdigest()
        return f"{self._pipeline.meta['lang']}_{self._pipeline.meta['name']} {self._pipeline.meta['version']}"

    @cached_property
    def _pipeline(self) -> Any:
        import spacy

        try:
            pipeline = spacy.load(self.model)
        except (OSError, ValueError, ImportError) as error:
            raise NerUnavailable(
                f"the policy asks for the spaCy pipeline {self.model!r}, which cannot be loaded ({type(error).__name__}); "
                "install that package, name a folder that holds one, or remove `ner` from assets/policies/privacy.yaml"
            ) from None
        known = {label for name in pipeline.pipe_names for label in getattr(pipeline.get_pipe(name), "labels", ())}
        if not known & set(self.labels):
            raise NerUnavailable(f"the spaCy pipeline {self.model!r} knows none of the labels {', '.join(self.labels)}")
        return pipeline


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of at most 50,000 characters, cut at a line or a blank where there is one."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _CHUNK)
        if end < len(text):
            cut = max(text.rfind("\n", start, end), text.rfind(" ", start + _CHUNK // 2, end))
            end = cut + 1 if cut > start else end
        yield start, end
        start = end
