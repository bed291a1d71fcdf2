"""On what ground files of feedback may be learned from: every file belongs to a declared source, as documents do.

Belongs here: `assets/policies/feedback.yaml`, and which source speaks for a file. Does not: the judgement (`corpus.rights`), nor
what becomes of a line that may not be used (`reading`, `preferences.pairs`). It fails closed: a file that no source names is
held back line by line, counted and shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.rights.scopes import Glob, Scopes
from ddd_llm.corpus.sources import Governed, names_differ
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings

FILE = "policies/feedback.yaml"
NO_SOURCE = "no_feedback_source"


class FeedbackSource(Governed):
    """Some files of feedback: who owns what they say, and on what ground it may be used."""

    files: tuple[Glob, ...] = Field(
        min_length=1, description="Globs: assets/... below the assets folder, home/... below the installation's."
    )


class FeedbackSources(BaseModel):
    """The whole of `feedback.yaml`. Of several sources that name a file the first speaks for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    sources: list[FeedbackSource]

    _differ = field_validator("sources")(names_differ)


def feedback_sources(settings: Settings) -> list[FeedbackSource]:
    """The sources as people declared them. Raises InputError."""
    return load_yaml(settings.assets / FILE, FeedbackSources).sources


class FileRights:
    """Judges lines of files of feedback.

    Args:
        settings: where the folders are.
        permissions: over feedback's sources (`feedback_sources`), as they stand on a day.
        importing: a file that is judged as what an import makes of it; others outside the two folders are nobody's.

    Attributes:
        counts: verdicts so far by (source, reason); reason None where a line may be used, source "" where none speaks for it.
    """

    def __init__(self, settings: Settings, permissions: Permissions, importing: Path | None = None) -> None:
        self._roots = {"assets": settings.assets.absolute(), "home": settings.home.absolute()}
        self._permissions, self._importing = permissions, importing
        sources = [one for one in permissions.sources.values() if isinstance(one, FeedbackSource)]
        self._owners = Scopes([(glob, one.name) for one in sources for glob in one.files])
        self.counts: Counter[tuple[str, str | None]] = Counter()

    def against(self, file: Path, place: str) -> tuple[str, str] | None:
        """(reason, sentence) why what stands at a place of a file may not be learned from, None when it may.

        To documents' rights and consents a line is the locator `FILE#PLACE`, such as `home/annotations/ada.jsonl#line 3`.
        """
        name, owner = self._name(file), self.owner(file)
        if owner:
            found = self._permissions.objection(owner, f"{name}#{place}")
        else:
            sentence = f"no source in {FILE} speaks for {name}: say there whose it is and on what ground it is used"
            found = NO_SOURCE, sentence
        self.counts[owner, found and found[0]] += 1
        return found

    def owner(self, file: Path) -> str:
        """Name of the source that speaks for a file; "" where none does, or the name holds what parts a locator (# or !)."""
        name = self._name(file)
        return "" if set("#!") & set(name) else next(iter(self._owners.of(name)), "")

    def table(self) -> list[list[object]]:
        """A row per source: name, owner, licence, ground, lines that may be used, lines held back."""
        rows: list[list[object]] = []
        for name in dict.fromkeys([*self._permissions.sources, *(owner for owner, _ in self.counts)]):
            one = self._permissions.sources.get(name)
            held_back = sum(n for (owner, reason), n in self.counts.items() if owner == name and reason is not None)
            said = (one.owner, one.licence, one.legal_basis) if one else (None, None, None)
            rows.append([name or "(none)", *(text or "–" for text in said), self.counts[name, None], held_back])
        return rows

    def _name(self, file: Path) -> str:
        # By where it lies, not by what a link leads to.
        if file == self._importing:
            return f"home/annotations/{file.name}"
        path = file.absolute()
        for name, root in self._roots.items():
            if path.is_relative_to(root):
                return f"{name}/{path.relative_to(root).as_posix()}"
        return path.as_posix()


def governance_of_feedback(settings: Settings) -> dict[str, Any]:
    """The part of a step's config that says on what ground it uses feedback, and how identifiers in it are replaced.

    Raises:
        InputError: a file that does not say what it must, or is not there.
    """
    from ddd_llm.corpus.governors import governance_config

    return {"governance": governance_config(settings, feedback_sources(settings))}


def rights_now(settings: Settings, importing: Path | None = None) -> FileRights:
    """The rights as they stand today. Raises InputError."""
    from ddd_llm.corpus.rights.load import permissions_now

    return FileRights(settings, permissions_now(settings, sources=feedback_sources(settings)), importing)


def governors_of_feedback(settings: Settings, config: Mapping[str, Any]) -> tuple[FileRights, Any]:
    """The rights and the masks that a step's config (`governance_of_feedback`) stands for. Raises InputError."""
    from ddd_llm.corpus.governors import governors

    permissions, masks = governors(settings, config["governance"], feedback_sources(settings))
    return FileRights(settings, permissions), masks
