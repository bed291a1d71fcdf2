"""What every token of a sampled answer earned, as a table and as coloured text.

Belongs here: rows per token, and the drawing. Does not: where the page goes (`assets`).

State, action and reward of the decision process (Wu et al. 2023, section 3.1): the state is the prompt and the tokens before,
the action the token, its reward the segments' rewards that end on it minus the weighted log-ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from markupsafe import Markup

from ddd_llm.platform.report import visible
from ddd_llm.training.rlhf.rewards import earned

if TYPE_CHECKING:
    from ddd_llm.training.rlhf.recipe import RlhfRecipe
    from ddd_llm.training.rlhf.trainer import Rollout

TRACE_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),  # optimizer steps done before the rollout
        ("prompt_id", pa.string()),
        ("answer", pa.int64()),  # place in the rollout
        ("token", pa.int64()),  # place in the answer
        ("token_id", pa.int64()),
        ("text", pa.string()),
        ("log_prob", pa.float64()),
        ("reference_log_prob", pa.float64()),
        ("value", pa.float64()),
        ("advantage", pa.float64()),
        ("segment_rewards", pa.map_(pa.string(), pa.float64())),  # weighted, by reward
        ("reward", pa.float64()),  # their sum minus kl_weight times the log-ratio, before whitening
    ]
)


def trace_rows(step: int, rollout: Rollout, ids: Sequence[str], recipe: RlhfRecipe) -> list[dict[str, Any]]:
    """A row per token of each answer of a rollout (`TRACE_SCHEMA`); `ids` names the prompts by row of the dataset."""
    rows = []
    parts = {
        name: rollout.tensors[name].tolist()
        for name in ("old_per_token_logps", "ref_per_token_logps", "old_values", "advantages", "rewards")
    }
    given = earned(rollout.scores, rollout.answers, recipe)
    for i, answer in enumerate(rollout.answers):
        for t, token in enumerate(answer.ids):
            start, end = answer.offsets[t]
            rows.append(
                {
                    "step": step,
                    "prompt_id": ids[rollout.rows[i]],
                    "answer": i,
                    "token": t,
                    "token_id": token,
                    "text": answer.text[start:end],
                    "log_prob": parts["old_per_token_logps"][i][t],
                    "reference_log_prob": parts["ref_per_token_logps"][i][t],
                    "value": parts["old_values"][i][t],
                    "advantage": parts["advantages"][i][t],
                    "segment_rewards": list(given[i][t].items()),
                    "reward": parts["rewards"][i][t],
                }
            )
    return rows


def coloured(pieces: Sequence[tuple[str, float]]) -> Markup:
    """HTML of a text in pieces, each on green for a reward above zero and on red for one below, stronger for larger ones.

    The number also stands at the piece's end, so that colour is not all there is.
    """
    most = max((abs(reward) for _, reward in pieces), default=0.0) or 1.0
    piece = Markup('<span style="background:rgba({},{:.2f});border-radius:.2rem">{}</span><sup>{:+.2f}</sup>')
    shown = Markup("")
    for text, reward in pieces:
        if reward == 0:
            shown += visible(text)
            continue
        colour = "0,150,110" if reward > 0 else "210,90,20"
        shown += piece.format(colour, 0.15 + 0.5 * abs(reward) / most, visible(text), reward)
    return Markup('<p style="white-space:pre-wrap">{}</p>').format(shown)


def segments_of(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Trace rows of one answer, joined to pieces that end where a segment reward was given."""
    pieces: list[tuple[str, float]] = []
    text = ""
    for row in rows:
        text += row["text"]
        if row["segment_rewards"]:
            pieces.append((text, sum(value for _, value in row["segment_rewards"])))
            text = ""
    return [*pieces, (text, 0.0)] if text else pieces
