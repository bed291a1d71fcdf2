"""Checks of the corpus stage: what is judged of which table, and in which words. The judging is in the modules named."""

from __future__ import annotations

from ddd_llm.platform.expectations import suite_names
from ddd_llm.platform.lineage import lineage_check
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held


def _validated(
    held: Held, store: ArtifactStore, settings: Settings, suites: dict[str, str]
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Verdicts of suites on tables of a record (suite: table)."""
    from ddd_llm.platform.expectations import suite_verdicts

    found: dict[str, tuple[bool, str, dict[str, object]]] = {}
    for suite, table in suites.items():
        rows = store.read_table(held.record.tables[table])
        found |= suite_verdicts(rows, settings.assets / "expectations" / f"{suite}.yaml")
    return found


@lineage_check(
    asset="raw_documents",
    checks={"quarantine_rate": "At most one record in ten of a batch is broken; more points at a broken source."},
)
def raw_checks(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Warns of a batch of which much is broken; what is whole in it goes on."""
    from ddd_llm.corpus.reports.raw import quarantine_verdict

    return {"quarantine_rate": quarantine_verdict(held.record.summary)}


@lineage_check(
    asset="governed_documents", checks=suite_names("governed_documents"), files=["expectations/governed_documents.yaml"]
)
def governed_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Great Expectations suite `assets/expectations/governed_documents.yaml`."""
    return _validated(held, store, settings, {"governed_documents": "documents"})


@lineage_check(
    asset="deduplicated_documents",
    checks=suite_names("deduplicated_documents", "deduplicated_decisions"),
    files=["expectations/deduplicated_documents.yaml", "expectations/deduplicated_decisions.yaml"],
)
def deduplicated_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Great Expectations suites for the documents kept and for the decisions on all."""
    return _validated(
        held, store, settings, {"deduplicated_documents": "documents", "deduplicated_decisions": "decisions"}
    )


@lineage_check(
    asset="curated_documents", checks=suite_names("curated_documents"), files=["expectations/curated_documents.yaml"]
)
def curated_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Great Expectations suite `assets/expectations/curated_documents.yaml`."""
    return _validated(held, store, settings, {"curated_documents": "documents"})


@lineage_check(
    asset="curated_documents",
    checks={
        "curation_standard_approved": "Somebody answers for exactly the rules that the corpus was made with.",
        "curation_disparity": "No slice of the corpus is shown to be kept much less than the rest.",
        "no_repeated_triggers": "No odd token repeats across unlike documents as a planted trigger would.",
    },
)
def curation_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Warns of a standard nobody approved, of slices that curation disfavours, and of what looks like poisoning."""
    from ddd_llm.corpus.fairness import disparity_verdict
    from ddd_llm.corpus.filters.policy import approval_verdict
    from ddd_llm.corpus.passes.poisoning import verdict

    config, tables = held.record.config["curation"], held.record.tables
    return {
        "curation_standard_approved": approval_verdict(config),
        "curation_disparity": disparity_verdict(store.read_table(tables["slices"]), config["fairness"]),
        "no_repeated_triggers": verdict(store.read_table(tables["triggers"])),
    }
