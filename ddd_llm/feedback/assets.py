"""Assets of what people say: guidelines, labels, how far annotators agree, and one settled value per item."""

from datetime import date
from typing import TYPE_CHECKING

import ddd_llm.feedback.plans  # noqa: F401  (adds its plans to those a training asks for)
from ddd_llm.feedback.steps import GROUP, OWNER, current_labels, digests_of, plan_config, plan_of
from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held

if TYPE_CHECKING:
    from ddd_llm.feedback.guidelines import Guideline


def _guideline_config(settings: Settings) -> Config:
    from ddd_llm.feedback.guidelines import FOLDER, load_versions
    from ddd_llm.platform.approvals import FIELDS

    versions = load_versions(settings.assets / FOLDER)
    content = {
        f"{name} {number}": g.model_dump(mode="json", exclude=set(FIELDS)) for (name, number), g in versions.items()
    }
    return {"guidelines": content}


@lineage_asset(group=GROUP, owner=OWNER, kinds={"markdown"}, config=_guideline_config)
def annotation_guidelines(step: Step) -> None:
    """How annotators are to label: versioned Markdown documents with label schema, definitions, examples, counter-examples
    and edge cases, from `assets/guidelines/`.

    Every label names the version it was made under; a change makes stale exactly the labels that it concerns. Training asks that
    each guideline is approved as it stands.
    """
    from ddd_llm.feedback.guidelines import FOLDER, guidelines_of
    from ddd_llm.feedback.reports import report_guidelines
    from ddd_llm.platform.approvals import objection

    current = guidelines_of(step.settings)
    step.put_json("guidelines.json", step.config["guidelines"])
    for name in current:
        step.put_file(f"text/{name}.md", step.settings.assets / FOLDER / f"{name}.md")
    report_guidelines(step, current, {n: objection(g, f"the guideline {n}", date.today()) for n, g in current.items()})


def _annotation_config(settings: Settings) -> Config:
    from ddd_llm.feedback.reading import feedback_files, folders
    from ddd_llm.feedback.rights import governance_of_feedback

    return {"files": digests_of(feedback_files(folders(settings))), **governance_of_feedback(settings)}


def _versions(step: Step) -> "dict[tuple[str, int], Guideline]":
    """The guidelines as the record that this step pins has them."""
    import json

    from ddd_llm.feedback.guidelines import Guideline

    held = step.held("annotation_guidelines")
    content = json.loads(step.store.read_bytes(held.record.files["guidelines.json"]))
    found = [Guideline.model_validate(body) for body in content.values()]
    return {(guideline.name, guideline.version): guideline for guideline in found}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"labelstudio", "parquet"},
    inputs=["annotation_guidelines", "curated_documents"],
    config=_annotation_config,
    columns={
        "id": "Digest of everything the label says.",
        "item_id": "What was labelled.",
        "annotator": "Who labelled.",
        "guideline_version": "Version of the guideline it was made under.",
        "value": "The answer as JSON.",
        "sections": "Guideline sections the annotator rested on.",
        "seconds": "Time spent; null where unknown.",
        "shown": "Order in which two answers were shown.",
        "origin": "people, or demo: written by this project's authors for the demonstration.",
    },
)
def annotations(step: Step) -> None:
    """Items, labels and decisions of people: from the annotation page, Label Studio exports and JSON Lines, each label checked
    against its item and its guideline.

    What cannot be kept is quarantined with file, line and reason, and so is what no source in `policies/feedback.yaml` gives the
    right to learn from; personal identifiers are replaced as in documents. Labels and decisions made under an older guideline are
    stale where the change concerns them, and are not used further on. An item that rests on a document outside the curated
    corpus is set aside with its labels.
    """
    from ddd_llm.feedback.adjudication import standing
    from ddd_llm.feedback.documents import rest_on
    from ddd_llm.feedback.guidelines import state_of
    from ddd_llm.feedback.reading import decisions_table, feedback_files, folders, labels_table, read_feedback
    from ddd_llm.feedback.reports import report_annotations, states_table
    from ddd_llm.feedback.rights import governors_of_feedback

    versions = _versions(step)
    rights, masks = governors_of_feedback(step.settings, step.config)
    found = read_feedback(feedback_files(folders(step.settings)), versions, rights, masks)
    rested = rest_on(found.items.values(), step.table("curated_documents", columns=["id", "source", "locator"]))
    for item, why in sorted(rested.refused.items()):
        found.quarantine.append(("", f"item {item[:12]}", "document_not_curated", why))
    found.items = {
        name: item.model_copy(update={"source_ids": rested.sources[name]})
        for name, item in found.items.items()
        if name in rested.sources
    }
    found.labels = [label for label in found.labels if label.item_id in found.items]
    found.decisions = [decision for decision in found.decisions if decision.item_id in found.items]
    found.decisions, stale = standing(found.decisions, versions)
    states = {label.id: state_of(label, versions) for label in found.labels}
    step.put_table("labels", found.labels_table())
    step.put_table("items", found.items_table())
    step.put_table("decisions", decisions_table(found.decisions))
    step.put_table("stale_decisions", decisions_table(stale))
    step.put_table("states", states_table(states))
    step.put_table("superseded", labels_table(found.superseded))
    step.put_table("quarantine", found.quarantine_table())
    report_annotations(step, found, rights, {name: state for name, (state, _) in states.items()}, len(stale))


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "html"},
    inputs=["annotations", "annotation_guidelines"],
    config=plan_config("gold", "agreement", "disagreement", "adjudication"),
)
def annotator_agreement(step: Step) -> None:
    """How far annotators agree beyond chance, with intervals: Krippendorff's alpha, Gwet's AC1 beside it, Cohen's and Fleiss'
    kappa where they apply, per value, guideline version and slice; for spans alpha over characters.

    Gold questions say who is calibrated; Dawid and Skene's model splits disagreement into ambiguous items and annotators'
    errors, and the guideline sections behind them are named. Each guideline passes, fails or is insufficient on the lower
    bound; only labels of those that pass are used.
    """
    from ddd_llm.feedback.measures import agreement_table, annotators_table, confusion_table, measure_labels
    from ddd_llm.feedback.reports import report_agreement

    labels, items = current_labels(step)
    newest: dict[str, Guideline] = {}
    for (name, _), guideline in sorted(_versions(step).items()):
        newest[name] = guideline
    measured = measure_labels(labels, items, newest, plan_of(step))
    step.put_table("agreement", agreement_table(measured))
    step.put_table("annotators", annotators_table(measured))
    step.put_table("confusion", confusion_table(measured))
    step.put_json("verdicts.json", {m.guideline: [m.verdict.outcome, m.verdict.sentence] for m in measured})
    report_agreement(step, measured, labels, items)


@lineage_check(
    asset="annotator_agreement",
    checks={
        "agreement_gate": "Every guideline with labels passes on the lower bound; labels of others are not used.",
        "annotators_calibrated": "Everybody who labelled items with gold questions among them passed these.",
    },
)
def agreement_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the verdicts that the record holds; it warns, and what is not agreed on is left out further on."""
    import json

    verdicts = json.loads(store.read_bytes(held.record.files["verdicts.json"]))
    said = "; ".join(f"{name}: {outcome}, {sentence}" for name, (outcome, sentence) in sorted(verdicts.items()))
    bad = [name for name, (outcome, _) in verdicts.items() if outcome != "pass"]
    rows = store.read_table(
        held.record.tables["annotators"], ["annotator", "guideline", "assignable", "why"]
    ).to_pylist()
    uncalibrated = [f"{r['annotator']} ({r['guideline']}): {r['why']}" for r in rows if r["assignable"] is False]
    return {
        "agreement_gate": (not bad, said or "there are no labels", {"not_used": bad}),
        "annotators_calibrated": (
            not uncalibrated,
            "; ".join(uncalibrated) or "nobody fell short",
            {"uncalibrated": len(uncalibrated)},
        ),
    }


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=["annotations", "annotator_agreement"],
    config=plan_config("adjudication"),
    columns={
        "item_id": "What was labelled.",
        "value": "The settled answer as JSON.",
        "by": "agreement, or adjudicator where somebody who did not label it decided.",
        "rationale": "Why it was decided so.",
        "annotators": "Whose labels it rests on.",
        "label_ids": "These labels.",
    },
)
def adjudicated_labels(step: Step) -> None:
    """One settled value per item: what annotators agree on, or what an adjudicator decided who is none of them; raw labels
    stay as they are.

    Labels of a guideline whose agreement does not pass are not used at all, nor those of somebody whose answers to its gold
    questions fall short; items that wait for a decision are listed as open.
    """
    import json

    from ddd_llm.feedback.adjudication import adjudicate, of_calibrated
    from ddd_llm.feedback.reading import decisions_of
    from ddd_llm.feedback.reports import report_adjudicated

    verdicts = json.loads(step.store.read_bytes(step.held("annotator_agreement").record.files["verdicts.json"]))
    closed = {name: sentence for name, (outcome, sentence) in verdicts.items() if outcome != "pass"}
    labels, _ = current_labels(step)
    judged = step.table("annotator_agreement", "annotators", ["guideline", "annotator", "failed"]).to_pylist()
    agreed = [label for label in labels if label.guideline not in closed]
    used = of_calibrated(agreed, judged)
    result = adjudicate(used, decisions_of(step.table("annotations", "decisions")), plan_of(step).adjudication)
    step.put_table("adjudicated", result.settled)
    step.put_table("open", result.open)
    report_adjudicated(step, result, closed, labels, len(agreed) - len(used))
