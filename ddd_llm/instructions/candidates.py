"""From the curated corpus to candidate examples: which generators run on which document, and what each document gave.

Here belongs the pass over the corpus. Here does not belong the wording of a task (`tasks_*`), nor splits, caps and
mixing (`build`): a candidate has neither split nor component yet.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.instructions.docstrings import MEDIA_TYPE, ApiDoc, parse_api_doc
from ddd_llm.instructions.prompts import compose, stable_hash
from ddd_llm.instructions.signatures import parse_signature
from ddd_llm.instructions.tasks import Budget, Context, Draft, Generator, NamePool
from ddd_llm.instructions.tasks_parameters import DefaultValue, ParameterList, ParameterMeaning
from ddd_llm.instructions.tasks_prose import Raises, Returns, Summary, UsageExample
from ddd_llm.instructions.tasks_refusals import Refusal, UndescribedParameter, UnknownObject, UnknownParameter
from ddd_llm.platform.cores import over_rows

GENERATORS: Mapping[str, Generator] = {
    generator.name: generator
    for generator in (
        Summary(),
        ParameterList(),
        ParameterMeaning(),
        DefaultValue(),
        Returns(),
        Raises(),
        UsageExample(),
        UnknownParameter(),
        UnknownObject(),
        UndescribedParameter(),
    )
}

CANDIDATES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("slice", pa.string()),
        ("messages", pa.string()),
        ("facts", pa.string()),
        ("source_ids", pa.list_(pa.string())),
        ("package", pa.string()),
        ("module", pa.string()),
        ("generator", pa.string()),
        ("generator_version", pa.string()),
    ]
)
DECISIONS_SCHEMA = pa.schema([("id", pa.string()), ("verdict", pa.string()), ("reason", pa.string())])

_CHUNK = 2_000
_SMALL_POOL = 50
_DOCUMENT_COLUMNS = ["id", "locator", "media_type", "text"]


class CandidateConfig(BaseModel):
    """Settings of the candidate pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[str, ...] = Field(default=tuple(GENERATORS), description="Task types to generate.")
    per_document: int = Field(
        default=3, ge=1, description="Open-book examples per document, a benign twin not counted."
    )
    closed_book_share: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Share of documents that also give one example without its passage."
    )
    passage_tokens: int = Field(default=180, ge=32, description="Largest passage, in estimated SmolLM2 tokens.")
    answer_tokens: int = Field(default=60, ge=8, description="Longest answer, in estimated SmolLM2 tokens.")
    include_private: bool = Field(
        default=False, description="Whether names beginning with an underscore are asked about."
    )

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(tasks) - set(GENERATORS))
        if unknown or not tasks:
            raise ValueError(f"unknown tasks {unknown}; known are {sorted(GENERATORS)}" if unknown else "no task named")
        return tasks


@dataclass(frozen=True)
class Candidates:
    """Candidate examples, and one decision per document: kept, or dropped with the reason why it gave nothing."""

    table: pa.Table
    decisions: pa.Table

    @property
    def reasons(self) -> dict[str, int]:
        """Documents per reason of giving nothing, most frequent first."""
        return dict(Counter(r for r in self.decisions.column("reason").to_pylist() if r is not None).most_common())


@dataclass(frozen=True)
class _Pools:
    """Names to borrow, per package; under "" those of the whole corpus."""

    parameters: Mapping[str, NamePool]
    objects: Mapping[str, NamePool]

    def of(self, package: str) -> tuple[NamePool, NamePool]:
        return self.parameters.get(package, self.parameters[""]), self.objects.get(package, self.objects[""])


def candidates(curated: pa.Table, config: CandidateConfig) -> Candidates:
    """Make the candidate examples of a corpus.

    Args:
        curated: documents with the columns `id`, `locator`, `media_type`, `text`; others are not read.
        config: settings.

    Returns:
        Examples (`CANDIDATES_SCHEMA`) in document order with distinct ids, and decisions (`DECISIONS_SCHEMA`) per
        document. Reasons: `not_a_docstring`, `unreadable_signature`, `private`, `deprecated`, `no_checkable_fact`.
    """
    work = partial(_candidates, pools=_pools(curated), config=config)
    parts = list(over_rows(work, curated.select(_DOCUMENT_COLUMNS)))
    table = pa.concat_tables([part.table for part in parts])
    first = dict(zip(reversed(table["id"].to_pylist()), range(len(table) - 1, -1, -1), strict=True))
    if len(first) < len(table):
        table = table.take(pa.array(sorted(first.values())))
    return Candidates(table, pa.concat_tables([part.decisions for part in parts]))


def _candidates(curated: pa.Table, pools: _Pools, config: CandidateConfig) -> Candidates:
    budget = Budget(config.passage_tokens, config.answer_tokens)
    generators = [GENERATORS[name] for name in GENERATORS if name in config.tasks]
    rows: dict[str, dict[str, Any]] = {}
    decisions: list[tuple[str, str, str | None]] = []
    for document in _documents(curated):
        doc, reason = _readable(document, config)
        made = []
        if doc is not None:
            context = Context(document["locator"], budget, *pools.of(_package(doc.module)))
            made = [_row(draft, document["id"], doc) for draft in _drafts(doc, context, generators, config)]
            reason = None if made else "no_checkable_fact"
        rows.update((row["id"], row) for row in made)
        decisions.append((document["id"], "dropped" if reason else "kept", reason))
    columns = [list(column) for column in zip(*decisions, strict=True)] or [[], [], []]
    return Candidates(
        pa.Table.from_pylist(list(rows.values()), schema=CANDIDATES_SCHEMA), pa.table(columns, schema=DECISIONS_SCHEMA)
    )


def example_id(task: str, source_ids: Sequence[str], messages: Sequence[Mapping[str, str]]) -> str:
    """Id of an example: the first 32 hex digits of the SHA-256 of its canonical content."""
    content = json.dumps([task, list(source_ids), list(messages)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _documents(curated: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in curated.select(_DOCUMENT_COLUMNS).to_batches(max_chunksize=_CHUNK):
        yield from batch.to_pylist()


def _package(module: str) -> str:
    return module.partition(".")[0]


def _pools(curated: pa.Table) -> _Pools:
    """Parameter names that at least two objects share, and names of public objects."""
    parameters: dict[str, Counter[str]] = {"": Counter()}
    objects: dict[str, Counter[str]] = {"": Counter()}
    for document in _documents(curated):
        if document["media_type"] == MEDIA_TYPE:
            signature = parse_signature(document["text"].partition("\n")[0])
            arguments = signature.arguments or () if signature else ()
            names = {a.name for a in arguments if not a.starred and len(a.name) > 2 and not a.name.startswith("_")}
            module, _, qualname = document["locator"].rpartition(":")
            parts = qualname.split(".")
            public = [".".join(parts[-2:])] if qualname and not any(part.startswith("_") for part in parts) else []
            for package in ("", _package(module)):
                parameters.setdefault(package, Counter()).update(names)
                objects.setdefault(package, Counter()).update(public)
    return _Pools(_name_pools(parameters, least=2), _name_pools(objects, least=1))


def _name_pools(counts: Mapping[str, Counter[str]], least: int) -> dict[str, NamePool]:
    # A package with few names borrows from all.
    common = {package: [n for n, count in names.items() if count >= least] for package, names in counts.items()}
    whole = common[""] if len(common[""]) >= _SMALL_POOL else list(counts[""])
    return {package: NamePool(n if len(n) >= _SMALL_POOL else whole) for package, n in common.items()}


def _readable(document: Mapping[str, Any], config: CandidateConfig) -> tuple[ApiDoc | None, str | None]:
    if document["media_type"] != MEDIA_TYPE:
        return None, "not_a_docstring"
    doc = parse_api_doc(document["text"], document["locator"])
    if doc is None:
        return None, "unreadable_signature"
    if doc.private and not config.include_private:
        return None, "private"
    return (None, "deprecated") if doc.deprecated else (doc, None)


def _drafts(doc: ApiDoc, context: Context, generators: list[Generator], config: CandidateConfig) -> list[Draft]:
    """Up to `per_document` open-book drafts, scarce tasks first, then in an order drawn by the document's place; then
    perhaps a closed-book one.

    Which passages a document shows must not depend on other documents, or growth could move items between splits: so a
    refusal takes its place, and brings its twin, even where no name could be borrowed. A document gives one refusal at most.
    """
    ordered = sorted(
        generators, key=lambda generator: (not generator.scarce, stable_hash("order", context.place, generator.name))
    )
    drafts: dict[str, Draft] = {}
    slots, refusing = 0, False
    for generator in ordered:
        if slots >= config.per_document:
            break
        if isinstance(generator, Refusal):
            twin = None if refusing else generator.twin(doc, context)
            made = [] if twin is None else [generator.draft(doc, context), twin]
            refusing |= twin is not None
        else:
            made = [generator.draft(doc, context)]
        new = [draft for draft in made if draft is not None and draft.question not in drafts]
        drafts.update((draft.question, draft) for draft in new)
        slots += bool(new)
    if stable_hash("closed", context.place) % 10_000 < config.closed_book_share * 10_000:
        closed = next(filter(None, (generator.draft_closed(doc, context) for generator in ordered)), None)
        return [*drafts.values(), *([closed] if closed else [])]
    return list(drafts.values())


def _row(draft: Draft, doc_id: str, doc: ApiDoc) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": compose(draft.passage, draft.question)},
        {"role": "assistant", "content": draft.answer},
    ]
    return {
        "id": example_id(draft.task, [doc_id], messages),
        "task": draft.task,
        "slice": draft.slice,
        "messages": json.dumps(messages, ensure_ascii=False),
        "facts": json.dumps(dict(draft.facts), ensure_ascii=False, sort_keys=True),
        "source_ids": [doc_id],
        "package": _package(doc.module),
        "module": doc.module,
        "generator": draft.generator,
        "generator_version": draft.version,
    }
