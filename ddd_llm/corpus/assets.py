"""Assets of the corpus stage: what each reads, writes and shows. The work itself is in the modules beside this one."""

from __future__ import annotations

import pyarrow as pa

import ddd_llm.corpus.plans  # noqa: F401  (adds its plan to those a training asks for)
from ddd_llm.corpus.capture import capture_config, root_of, sources_of
from ddd_llm.platform.expectations import suite_names
from ddd_llm.platform.lineage import lineage_asset
from ddd_llm.platform.nodes import Config, Input
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step

GROUP = "corpus"
OWNER = "data-engineering"
DOCUMENT_COLUMNS = {
    "id": "Keyed hash (HMAC-SHA256) of the normalised text: equal text, equal id.",
    "source": "Name of the source in sources.yaml.",
    "locator": "Where in the source the document stands.",
    "batch": "The ingest that brought it.",
    "op": "add, update or delete, against all batches before.",
    "title": "Title, or qualified name of a docstring.",
    "media_type": "Form of the original.",
    "language": "ISO 639-1 code; und when too short to tell.",
    "date": "ISO 8601 day the document gives itself; null when unknown or not valid.",
    "quality": "Quality score that came with the document; null when there is none.",
    "licence": "SPDX expression of the source's licence.",
    "text": "Normal form NFC with LF line ends; direct identifiers replaced by keyed pseudonyms after governance.",
    "identifiers": "How many personal identifiers and secrets were replaced in title and text.",
}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=[Input("raw_documents", over="earlier")],
    partitioned=True,
    sealed=True,
    config=capture_config,
    columns=DOCUMENT_COLUMNS,
)
def raw_documents(step: Step) -> None:
    """Documents as collected, one batch per ingest: what was added, changed or removed since the batch before.

    Reads the sources that `assets/sources.yaml` names: docstrings of installed packages, folders and S3 prefixes of JSONL,
    Parquet, CSV, Markdown, HTML, PDF, DOCX and plain text, archives of these, and Hugging Face datasets. Broken files and
    records are quarantined with a reason and counted. A batch is never made again.
    """
    from ddd_llm.corpus.batch import HISTORY, ingest
    from ddd_llm.corpus.identity import load_key
    from ddd_llm.corpus.reports.raw import report_raw

    settings = step.settings
    previous = step.inputs("raw_documents")
    history = [step.store.read_table(held.record.tables["documents"], list(HISTORY)) for held in previous]
    sources = sources_of(settings)
    with step.timed("read"):
        batch = ingest(
            [(source, root_of(source, settings)) for source in sources],
            history,
            load_key(settings.keys, "id"),
            step.progress("documents read"),
        )
    step.put_table("documents", batch.documents, step.partition or "")
    step.put_table("quarantine", batch.quarantine, step.partition or "")
    step.sources = [source.model_dump(mode="json") for source in sources]
    report_raw(step, batch)


def _governance_config(settings: Settings) -> Config:
    from ddd_llm.corpus.governors import governance_config

    return governance_config(settings)


@lineage_asset(
    group=GROUP,
    owner="compliance",
    kinds={"python", "parquet", "greatexpectations"},
    inputs=["raw_documents"],
    partitioned=True,
    config=_governance_config,
    checks=tuple(suite_names("governed_documents")),
    columns=DOCUMENT_COLUMNS,
)
def governed_documents(step: Step) -> None:
    """Documents that may be used, with personal identifiers and secrets replaced as `assets/policies/privacy.yaml` says.

    A document is held back in quarantine, with the reason, where licence (`assets/policies/rights.yaml`), legal basis,
    consent as of the stated day, provenance record or an opt-out says so: counted and shown, never silently dropped, and
    released by the next run once the source's record says more.
    """
    from ddd_llm.corpus.governance import govern
    from ddd_llm.corpus.governors import governors
    from ddd_llm.corpus.reports.governed import report_governed

    raw = step.table("raw_documents")
    permissions, masks = governors(step.settings, step.config)
    with step.timed("govern"):
        kept, quarantine = govern(raw, permissions, masks)
    step.put_table("documents", kept, step.partition or "")
    step.put_table("quarantine", quarantine, step.partition or "")
    report_governed(step, raw, kept, quarantine, permissions)


def _signature_config(settings: Settings) -> Config:
    from ddd_llm.corpus.policies import dedup_policy

    return {"signature": dedup_policy(settings).signature.model_dump(mode="json")}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"numba", "parquet"},
    inputs=["governed_documents"],
    partitioned=True,
    config=_signature_config,
    columns={
        "shingles": "Word 5-grams, repeats counted.",
        "bands": "LSH keys of the document's MinHash signature, little-endian uint64.",
        "set_start": "Where in sets.u64 the document's shingle set begins, counted in hashes; then its size and checksum.",
    },
)
def document_signatures(step: Step) -> None:
    """MinHash signatures, LSH band keys and shingle sets of a batch's documents, from a numba kernel.

    An asset of its own, so that a new batch is compared with history without reading history's text.
    """
    from ddd_llm.corpus.deduplication import sign
    from ddd_llm.corpus.reports.similar import report_signatures

    with step.timed("signatures"):
        report_signatures(step, sign(step))


def _dedup_config(settings: Settings) -> Config:
    from ddd_llm.corpus.policies import dedup_policy

    return dedup_policy(settings).model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"numba", "parquet", "greatexpectations"},
    inputs=[Input("governed_documents", over="all"), Input("document_signatures", over="all")],
    config=_dedup_config,
    checks=tuple(suite_names("deduplicated_documents", "deduplicated_decisions")),
    columns=DOCUMENT_COLUMNS,
)
def deduplicated_documents(step: Step) -> None:
    """One of each group of near-duplicates, over all batches; what was kept stays kept when new batches come.

    Candidates come from MinHash bands; each is verified by exact Jaccard similarity of word 5-grams. A document is dropped
    only for a kept one that it verifiably resembles (greedy leader, never connected components), and `decisions` names that
    one and the exact similarity. `index` holds what the next batch is compared with.
    """
    from ddd_llm.corpus.deduplication import deduplicate_batches
    from ddd_llm.corpus.reports.dedup import report_deduplicated

    decided = list(deduplicate_batches(step))
    with step.timed("report"):
        report_deduplicated(step, decided)


def _curation_config(settings: Settings) -> Config:
    from ddd_llm.corpus.policies import curation_policy, passes_config

    return {"curation": curation_policy(settings).model_dump(mode="json"), "passes": passes_config(settings)}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet", "greatexpectations"},
    inputs=["deduplicated_documents"],
    config=_curation_config,
    checks=tuple(suite_names("curated_documents")),
    columns=DOCUMENT_COLUMNS,
)
def curated_documents(step: Step) -> None:
    """The corpus to learn from: deduplicated documents that pass the quality rules of `assets/policies/curation.yaml`.

    Before the rules come the passes of `assets/policies/passes.yaml`: repeated paragraphs, contamination by evaluation
    sets, tags (kept beside the documents), repeated triggers. Every dropped document has exactly one reason. Great
    Expectations validates what is kept, one check per expectation.
    """
    from ddd_llm.corpus.fairness import slice_rates
    from ddd_llm.corpus.passes.policy import PassesPolicy
    from ddd_llm.corpus.passes.run import apply_passes
    from ddd_llm.corpus.quality import CurationPolicy, judge
    from ddd_llm.corpus.reports.curated import report_curated
    from ddd_llm.corpus.reports.passes import pass_sections, pass_summary
    from ddd_llm.corpus.tables import by_batch

    policy = CurationPolicy.model_validate(step.config["curation"])
    passes = PassesPolicy.model_validate(step.config["passes"]["policy"])
    documents = step.table("deduplicated_documents")
    batches = [name for name, _, _ in step.segments("deduplicated_documents")]
    with step.timed("passes"):
        passed = apply_passes(documents, passes, step.settings.assets, step.progress("passes"))
    with step.timed("curate"):
        found = judge(passed.documents, policy, step.settings.assets)
    decisions = pa.concat_tables([passed.decisions, found.decisions])
    with step.timed("fairness"):
        rates = slice_rates(documents, decisions, policy.fairness)
    step.put_table("documents", by_batch(found.kept, batches))
    step.put_table("decisions", by_batch(decisions, batches))
    step.put_table("measures", by_batch(found.measures, batches))
    step.put_table("borderline", by_batch(found.borderline, batches))
    step.put_table("slices", rates)
    for name, table in passed.tables.items():
        step.put_table(name, table)
    step.summary |= pass_summary(passed)
    with step.timed("report"):
        report_curated(
            step, found.kept, decisions, documents, policy, found, rates,
            more=lambda page: pass_sections(page, passed, documents),
        )  # fmt: skip


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"numba", "parquet"},
    inputs=["curated_documents"],
    columns={"jaccard": "Exact similarity of their sets of word 5-grams."},
)
def similar_documents(step: Step) -> None:
    """Pairs of curated documents at J >= .5: alike, but not so much that one was removed. No split may separate them.

    An exact join without signatures, so that no pair is missed.
    """
    from ddd_llm.corpus.dedup.similar import similar_pairs
    from ddd_llm.corpus.reports.similar import report_similar
    from ddd_llm.corpus.tables import pairs_by_id

    documents = step.table("curated_documents", columns=["id", "source", "locator", "text"])
    with step.timed("similar pairs"):
        pairs = similar_pairs(documents["text"], 0.5)
    step.put_table("pairs", pairs_by_id(pairs, documents["id"]))
    report_similar(step, documents, pairs, 0.5)


@lineage_asset(group=GROUP, owner=OWNER, kinds={"python", "html"}, inputs=["curated_documents"])
def corpus_profile(step: Step) -> None:
    """What the corpus consists of: documents, tokens, lengths, languages, licences and sources, counted from the data itself."""
    from ddd_llm.corpus.profile import profile
    from ddd_llm.corpus.reports.profile import report_profile

    documents = step.table("curated_documents")
    found = profile(documents)
    step.put_json("profile.json", found)
    report_profile(step, found, documents)
