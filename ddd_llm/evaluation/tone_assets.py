"""The asset that scores how answers sound, beside what they say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held

if TYPE_CHECKING:
    from ddd_llm.evaluation.tone import AnswerSet

GROUP = "evaluation"
OWNER = "ml-engineering"
CHECKS = {
    "tone_kept": "No aligned model's tone is worse than the supervised model's, beyond chance.",
    "scorer_agrees_with_people": "The scorer puts answers in the order of people's scores; too few of them is a failure.",
}


def _config(settings: Settings) -> Config:
    from ddd_llm.evaluation.tone import load_tone

    return {"tone": load_tone(settings).model_dump(mode="json")}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "html"},
    inputs=["evaluation_suite", "model_answers", "rlhf_model", "red_team_report", "preference_pairs"],
    config=_config,
    columns={
        "answers": "Which questions were answered.",
        "id": "Question, attack or pair.",
        "model": "Who answered.",
        "score": "Share of the tone's criteria that the answer keeps; null for an empty answer.",
        "broken": "The criteria it does not keep.",
    },
)
def tone_report(step: Step) -> None:
    """Whether answers have the tone of `assets/policies/tone.yaml`: every model's score on the questions it was asked, what
    fine-tuning and alignment changed with intervals, and what the alignment data itself teaches (chosen beside rejected).

    The scorer is a rubric that a program checks; it is held against people's own scores of preference pairs.
    """
    from ddd_llm.evaluation.tone import TonePolicy, changes, validate
    from ddd_llm.evaluation.tone_page import report_tone, scores_table

    policy = TonePolicy.model_validate(step.config["tone"])
    pairs = step.table("preference_pairs", "pairs").to_pylist()
    sets = [_questions(step), _prompts(step), _attacks(step), _pairs(pairs)]
    sets = [given for given in sets if given.ids]
    scored = [
        ((row["chosen"], row["rejected"]), (scores[0], scores[1]))
        for row in pairs
        if row["rubrics"] and (scores := json.loads(row["rubrics"]).get(policy.rubric))
    ]
    step.put_table("scores", scores_table(policy, sets))
    report_tone(step, policy, sets, changes(policy, sets), validate(policy, scored))


def _questions(step: Step) -> AnswerSet:
    from ddd_llm.evaluation.tone import AnswerSet

    suite = step.table("evaluation_suite", "suite", columns=["id", "module"])
    names = {"base": "base", "supervised": "tuned"}
    answers = {name: step.table("model_answers", table)["answer"].to_pylist() for name, table in names.items()}
    return AnswerSet("held-out questions", "base", answers, suite["module"].to_pylist(), suite["id"].to_pylist())


def _prompts(step: Step) -> AnswerSet:
    from ddd_llm.evaluation.tone import AnswerSet

    rows = step.table("rlhf_model", "held_out")
    answers = {"supervised": rows["answer_before"].to_pylist(), "rlhf": rows["answer_after"].to_pylist()}
    return AnswerSet("prompts of RLHF", "supervised", answers, rows["component"].to_pylist(), rows["id"].to_pylist())


def _attacks(step: Step) -> AnswerSet:
    from ddd_llm.evaluation.tone import AnswerSet

    rows = step.table("red_team_report", "outcomes").to_pylist()
    by_model: dict[str, dict[str, str]] = {}
    for row in rows:
        by_model.setdefault(row["model"], {})[row["attack"]] = row["answer"]
    ids = sorted({row["attack"] for row in rows})
    answers = {model: [said[attack] for attack in ids] for model, said in by_model.items()}
    return AnswerSet("attacks", "supervised", answers, ids, ids)


def _pairs(pairs: list[dict[str, str]]) -> AnswerSet:
    from ddd_llm.evaluation.tone import AnswerSet

    answers = {name: [pair[name] for pair in pairs] for name in ("rejected", "chosen")}
    ids = [pair["id"] for pair in pairs]
    return AnswerSet("alignment data", "rejected", answers, [pair["component"] for pair in pairs], ids)


@lineage_check(asset="tone_report", checks=CHECKS)
def tone_checks(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; they warn."""
    found = json.loads(store.read_bytes(held.record.files["tone.json"]))
    aligned = [c for c in found["changes"] if c["before"] == "supervised" and c["model"] != "base"]
    worse = [c for c in aligned if c["high"] is not None and c["high"] < 0]
    said = "; ".join(
        f"{c['model']} on {c['answers']}: {c['change']:+.3f} ({c['low']:+.3f} to {c['high']:+.3f}, {c['n']} answers)"
        for c in aligned
        if c["change"] is not None
    )
    known = bool(said)
    validation = found["validation"]
    return {
        "tone_kept": (known and not worse, said or "no aligned model answered anything", {"worse": len(worse)}),
        "scorer_agrees_with_people": (
            validation["outcome"] == "agrees",
            f"{validation['outcome'].replace('_', ' ')}: {validation['sentence']}",
            {"pairs": validation["pairs"]},
        ),
    }
