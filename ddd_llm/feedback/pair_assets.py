"""Assets that end in what is trained on: preference pairs of every origin, and answers with their errors marked."""

from pathlib import Path

from ddd_llm.feedback.preferences.adversarial import GAPS
from ddd_llm.feedback.steps import GROUP, OWNER, current_labels, digests_of, plan_config, plan_of
from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held

RED_TEAM = "preferences/adversarial.jsonl"


def _pairs_config(settings: Settings) -> Config:
    from ddd_llm.feedback.rights import governance_of_feedback

    files = [path for name in (RED_TEAM, GAPS) if (path := settings.assets / name).is_file()]
    config = {**plan_config("constructed", "qa", "held_out_share")(settings), "files": digests_of(files)}
    return {**config, **governance_of_feedback(settings)} if Path(RED_TEAM).name in config["files"] else config


PAIR_CHECKS = {
    "pairs_are_sound": "No pair twice, no circle, no prompt in both splits.",
    "no_shortcut": "Neither length nor position gives the better answer away, and answers differ.",
}
SOUND = ("duplicates", "prompts_in_both_splits", "cycles")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=["adjudicated_labels", "annotations", "instruction_dataset", "ai_preferences"],
    config=_pairs_config,
    checks=("pairs_are_sound",),
    columns={
        "id": "Digest of prompt and both answers.",
        "chosen": "The better answer.",
        "rejected": "The other one.",
        "origins": "people, demo, adversarial, rlaif, constructed (a program planted the error).",
        "annotators": "Who judged it.",
        "source_ids": "Documents that the prompt shows.",
        "split": "train, or held_out: measured on only.",
    },
)
def preference_pairs(step: Step) -> None:
    """Pairs of answers of which one is better: settled preferences of people with rubrics for safety, tone and regulation,
    red-team pairs tied to a declared safety gap, a machine's preferences from a batch that people accepted, and answers with one
    planted error that a program can prove.

    Each pair names its origin, annotators and documents. Contradictions are quarantined, and what a machine prefers where people
    judged otherwise; no document is in both splits. The quality report looks for repeats, circles, length and position bias,
    nearly equal answers and label noise.
    """
    import json

    from ddd_llm.feedback.constructed import construct
    from ddd_llm.feedback.labels import PreferenceValue
    from ddd_llm.feedback.pair_reports import report_pairs
    from ddd_llm.feedback.preferences.adversarial import SafetyGaps, from_red_team
    from ddd_llm.feedback.preferences.pairs import (
        from_constructed,
        from_judge,
        from_people,
        merge,
        settled_preferences,
    )
    from ddd_llm.feedback.preferences.qa import examine
    from ddd_llm.feedback.reading import items_of
    from ddd_llm.feedback.rights import governors_of_feedback
    from ddd_llm.feedback.splits import Splits
    from ddd_llm.platform.inputs import load_yaml

    plan = plan_of(step)
    labels, items = current_labels(step)
    examples = step.table("instruction_dataset", "examples")
    splits = Splits.beside(examples, plan.held_out_share)
    adjudicated = step.table("adjudicated_labels", "adjudicated")
    pairs, ties = from_people(adjudicated, items, splits)
    refused: list[dict[str, str]] = []
    red_team = step.settings.assets / RED_TEAM
    if red_team.is_file():
        gaps = load_yaml(step.settings.assets / GAPS, SafetyGaps)
        adversarial, refused = from_red_team(red_team, gaps, splits, *governors_of_feedback(step.settings, step.config))
        pairs += adversarial
    acceptance = json.loads(step.store.read_bytes(step.held("ai_preferences").record.files["acceptance.json"]))
    judged = step.table("ai_preferences", "judged")
    accepted = acceptance["outcome"] == "accepted"
    machine, overruled = from_judge(
        judged, items_of(step.table("ai_preferences", "items")), accepted, splits, settled_preferences(adjudicated)
    )
    pairs += [*machine, *from_constructed(construct(examples, plan.constructed))]
    merged = merge(pairs, [*refused, *overruled], ties)
    findings = examine(merged.pairs, [x for x in labels if isinstance(x.value, PreferenceValue)], plan.qa)
    step.put_table("pairs", merged.pairs)
    step.put_table("quarantine", merged.quarantine)
    step.put_json("findings.json", {f.name: [f.passed, f.sentence] for f in findings})
    report_pairs(step, merged, findings, acceptance if len(judged) else None)


@lineage_check(asset="preference_pairs", checks=PAIR_CHECKS)
def preference_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the findings that the record holds."""
    import json

    findings = json.loads(store.read_bytes(held.record.files["findings.json"]))

    def verdict(names: list[str]) -> tuple[bool, str, dict[str, object]]:
        bad = [findings[name][1] for name in names if not findings[name][0]]
        return not bad, " ".join(bad) or f"all {len(names)} looks are within the plan", {"looks": names}

    return {
        "pairs_are_sound": verdict([name for name in findings if name in SOUND]),
        "no_shortcut": verdict([name for name in findings if name not in SOUND]),
    }


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=["adjudicated_labels", "annotations", "instruction_dataset"],
    config=plan_config("constructed", "held_out_share"),
    columns={
        "id": "Digest of prompt, answer and what was marked.",
        "response": "The answer that was marked.",
        "value": "Spans with error types, missing information and the corrected answer, as JSON.",
        "origin": "people, demo, or constructed (a program planted the error).",
        "annotators": "Who marked it.",
        "source_ids": "Documents that the prompt shows.",
        "split": "train, or held_out: measured on only.",
    },
)
def span_feedback(step: Step) -> None:
    """Where answers are wrong: spans with the error types of Wu et al. 2023, what is missing, and the corrected answer, from
    people's settled labels and from answers with one planted error.

    Reward models learn from it at three granularities; `corrections.jsonl` holds the corrected answers of the train split as
    conversations for supervised training. What would be trained on although its document is held out is set aside.
    """
    from ddd_llm.feedback.constructed import construct
    from ddd_llm.feedback.corrections import conversations
    from ddd_llm.feedback.pair_reports import report_spans
    from ddd_llm.feedback.span_feedback import from_constructed, from_people, span_table
    from ddd_llm.feedback.splits import Splits, part

    plan = plan_of(step)
    labels, items = current_labels(step)
    examples = step.table("instruction_dataset", "examples")
    splits = Splits.beside(examples, plan.held_out_share)
    people = from_people(step.table("adjudicated_labels", "adjudicated"), items, splits)
    rows, conflict = part([*people, *from_constructed(construct(examples, plan.constructed))])
    table = span_table(rows)
    step.put_table("feedback", table)
    step.put_table("split_conflicts", span_table(conflict))
    lines = conversations(items, labels, [row for row in rows if row["item_id"] is not None])
    step.put_file("corrections.jsonl", "".join(f"{line}\n" for line in lines).encode())
    report_spans(step, table, len(lines), len(conflict))
