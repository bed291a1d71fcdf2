"""Assets of the corpus stage: what each reads, writes and shows. The work itself is in the modules beside this one."""

from __future__ import annotations

import pyarrow as pa

from ddd_llm.corpus.capture import capture_config, key_fingerprint, root_of, sources_of
from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config, Input
from ddd_llm.platform.settings import CHECKOUT, Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held

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
    "licence": "SPDX expression of the source's licence.",
    "text": "Normal form NFC with LF line ends; direct identifiers replaced by keyed pseudonyms after governance.",
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

    Reads the sources that `assets/sources.yaml` names: docstrings of installed packages, folders of JSONL, Parquet, Markdown,
    HTML and plain text. Broken files and records are quarantined with a reason and counted. A batch is never made again.
    """
    from ddd_llm.corpus.batch import ingest
    from ddd_llm.corpus.identity import load_key
    from ddd_llm.corpus.reports.raw import report_raw

    settings = step.settings
    previous = step.inputs("raw_documents")
    columns = ["source", "locator", "op", "id"]
    history = [step.store.read_table(held.record.tables["documents"], columns) for held in previous]
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


@lineage_check(
    asset="raw_documents",
    checks={"quarantine_rate": "At most one record in ten of a batch is broken; more points at a broken source."},
)
def raw_checks(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Warns of a batch of which much is broken; what is whole in it goes on."""
    from ddd_llm.corpus.reports.raw import quarantine_verdict

    return {"quarantine_rate": quarantine_verdict(held.record.summary)}


def _governance_config(settings: Settings) -> Config:
    return {
        "sources": [source.model_dump(mode="json") for source in sources_of(settings)],
        "pseudonym_key": key_fingerprint(settings, "pseudonym"),
    }


@lineage_asset(
    group=GROUP,
    owner="compliance",
    kinds={"python", "parquet"},
    inputs=["raw_documents"],
    partitioned=True,
    config=_governance_config,
    columns=DOCUMENT_COLUMNS,
)
def governed_documents(step: Step) -> None:
    """Documents that may be used, with direct identifiers (e-mail addresses, phone numbers, ...) replaced by keyed pseudonyms.

    A document whose source has no licence, no evidence for it or no legal basis is held back in quarantine with the reason:
    counted and shown, never silently dropped, and released by the next run once the source's record says more.
    """
    from ddd_llm.corpus.governance import govern
    from ddd_llm.corpus.identity import load_key
    from ddd_llm.corpus.pseudonyms import Pseudonymiser
    from ddd_llm.corpus.reports.governed import report_governed

    raw = step.table("raw_documents")
    with step.timed("govern"):
        kept, quarantine = govern(
            raw, sources_of(step.settings), Pseudonymiser(load_key(step.settings.keys, "pseudonym"))
        )
    step.put_table("documents", kept, step.partition or "")
    step.put_table("quarantine", quarantine, step.partition or "")
    report_governed(step, raw, kept, quarantine)


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
        "signature": "MinHash values, little-endian uint32, as datasketch 2.0 makes them.",
        "shingles": "Word 5-grams.",
    },
)
def document_signatures(step: Step) -> None:
    """MinHash signatures of a batch's documents, value for value those of datasketch, from a numba kernel.

    An asset of its own, so that a new batch is compared with history without hashing history again.
    """
    from ddd_llm.corpus.dedup.signatures import SignatureConfig, signatures
    from ddd_llm.corpus.reports.dedup import report_signatures
    from ddd_llm.corpus.tables import present

    documents = present(step.table("governed_documents"))
    with step.timed("signatures"):
        made = signatures(documents["text"], SignatureConfig.model_validate(step.config["signature"]))
    table = documents.select(["id", "source", "locator"])
    for name in made.column_names:
        table = table.append_column(name, made[name])
    step.put_table("signatures", table, step.partition or "")
    report_signatures(step, table)


def _dedup_config(settings: Settings) -> Config:
    from ddd_llm.corpus.policies import dedup_policy

    return dedup_policy(settings).model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"numba", "parquet"},
    inputs=[Input("governed_documents", over="all"), Input("document_signatures", over="all")],
    config=_dedup_config,
    columns=DOCUMENT_COLUMNS,
)
def deduplicated_documents(step: Step) -> None:
    """One of each group of near-duplicates, over all batches; what was kept stays kept when new batches come.

    Candidates come from MinHash bands; each is verified by exact Jaccard similarity of word 5-grams. A document is dropped
    only for a kept one that it verifiably resembles (greedy leader, never connected components), and `decisions` names that
    one and the exact similarity. `similar` holds the pairs of kept documents at J >= .5, which no split may separate.
    """
    from ddd_llm.corpus.dedup.leader import DedupPolicy, deduplicate
    from ddd_llm.corpus.dedup.similar import similar_pairs
    from ddd_llm.corpus.dedup.state import fold
    from ddd_llm.corpus.reports.dedup import report_deduplicated
    from ddd_llm.corpus.tables import by_batch, pairs_by_id

    batches = [held.record.partition or "" for held in step.inputs("governed_documents")]
    with step.timed("fold batches"):
        state = fold((name, rows) for name, rows, _ in step.segments("governed_documents"))
    with step.timed("deduplicate"):
        policy = DedupPolicy.model_validate(step.config)
        result = deduplicate(state.current, step.table("document_signatures", "signatures"), policy, batches)
    with step.timed("similar pairs"):
        pairs = pairs_by_id(similar_pairs(result.kept["text"], 0.5), result.kept["id"])
    step.put_table("documents", by_batch(result.kept, batches))
    decisions = pa.concat_tables([state.decisions, result.decisions])
    step.put_table("decisions", by_batch(decisions, batches))
    step.put_table("similar", pairs)
    report_deduplicated(step, result.kept, decisions, pairs)


def _curation_config(settings: Settings) -> Config:
    from ddd_llm.corpus.policies import curation_policy

    return curation_policy(settings).model_dump(mode="json")


def _expectations(suite: str) -> dict[str, str]:
    """Names and descriptions of a suite's expectations, for the check definitions."""
    from ddd_llm.platform.expectations import load_suite

    return {e.name: e.description for e in load_suite(CHECKOUT / "assets" / "expectations" / f"{suite}.yaml")}


CURATED_EXPECTATIONS = _expectations("curated_documents")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet", "greatexpectations"},
    inputs=["deduplicated_documents"],
    config=_curation_config,
    checks=tuple(CURATED_EXPECTATIONS),
    columns=DOCUMENT_COLUMNS,
)
def curated_documents(step: Step) -> None:
    """The corpus to learn from: deduplicated documents that pass the quality rules of `assets/policies/curation.yaml`.

    Every dropped document has exactly one reason. Great Expectations validates what is kept, one check per expectation.
    """
    from ddd_llm.corpus.quality import CurationPolicy, curate
    from ddd_llm.corpus.reports.curated import report_curated
    from ddd_llm.corpus.tables import by_batch

    policy = CurationPolicy.model_validate(step.config)
    documents = step.table("deduplicated_documents")
    batches = [name for name, _, _ in step.segments("deduplicated_documents")]
    with step.timed("curate"):
        kept, decisions = curate(documents, policy)
    step.put_table("documents", by_batch(kept, batches))
    step.put_table("decisions", by_batch(decisions, batches))
    report_curated(step, kept, decisions, documents)


@lineage_check(asset="curated_documents", checks=CURATED_EXPECTATIONS, files=["expectations/curated_documents.yaml"])
def curated_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Great Expectations suite `assets/expectations/curated_documents.yaml`."""
    from ddd_llm.platform.expectations import suite_verdicts

    return suite_verdicts(
        store.read_table(held.record.tables["documents"]), settings.assets / "expectations" / "curated_documents.yaml"
    )


@lineage_asset(group=GROUP, owner=OWNER, kinds={"python", "html"}, inputs=["curated_documents"])
def corpus_profile(step: Step) -> None:
    """What the corpus consists of: documents, tokens, lengths, languages, licences and sources, counted from the data itself."""
    from ddd_llm.corpus.profile import profile
    from ddd_llm.corpus.reports.profile import report_profile

    documents = step.table("curated_documents")
    found = profile(documents)
    step.put_json("profile.json", found)
    report_profile(step, found, documents)
