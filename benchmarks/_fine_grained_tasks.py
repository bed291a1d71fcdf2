"""The parts of `fine_grained.py` on data sets of others: QA-FEEDBACK and toxic beginnings.

Belongs here: their trainings and figures. Does not: rows (`_fine_grained_data`).
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _fine_grained_bench import ARMS, Bench, curve, table
from _fine_grained_data import EXAMPLES, qa_records, qa_tables, text_beginnings

from ddd_llm.training.job import TrainingJob
from ddd_llm.training.reward.recipe import BUILT_IN, RewardRecipe
from ddd_llm.training.reward.run import RewardJob
from ddd_llm.training.rlhf.prompts import toxicity_prompts


def qa(bench: Bench) -> dict[str, Any]:
    """Part qa."""
    chosen = bench.chosen
    records = qa_records(chosen.data)
    tables = qa_tables(records, bench.folder, chosen.qa_passage)
    models: dict[str, TrainingJob] = {}
    for name, kind in BUILT_IN.items():
        source = tables["feedback"] if kind.granularity else tables["pairs"]
        recipe = {
            "steps": chosen.reward_steps,
            "batch_size": 8,
            "max_length": 512,
            "learning_rate": 5e-4,
            "layers": chosen.reward_layers,
        }
        models[name] = RewardJob(
            base=bench.base,
            dataset=source,
            recipe=RewardRecipe.model_validate({**bench.settings(), **recipe, "kind": kind.model_dump()}),
            scratch=bench.folder / f"qa-{name}-scratch",
            output=bench.folder / f"qa-{name}",
        )
    bench.run(models)
    found: dict[str, Any] = {"reward_models": {}}
    for name, job in models.items():
        (job.output / "recipe.json").write_text(job.recipe.model_dump_json())
        told = json.loads((job.output / "metrics.json").read_bytes())
        found["reward_models"][name] = {
            k.removeprefix("held_out_"): v for k, v in told.items() if k.startswith("held_out_")
        }
    segments = {name: m for name, m in found["reward_models"].items() if "f1" in m}
    rows = [
        [
            name,
            m["segments"],
            m["errors"],
            m["f1"],
            m["f1_low"],
            m["f1_high"],
            m["f1_everything"],
            m["f1_shape"],
            m["auroc"],
        ]
        for name, m in segments.items()
    ]
    table(
        "qa: reward models",
        ["kind", "segments", "errors", "F1", "low", "high", "all errors", "by shape", "AUROC"],
        rows,
    )
    pairs = found["reward_models"]["holistic"]
    print(
        f"  holistic: accuracy {pairs.get('accuracy')} on {pairs.get('pairs')} comparisons, "
        f"the longer one {pairs.get('accuracy_longer')}"
    )
    adapter = bench.supervised(
        "qa-sft", tables["examples"], steps=chosen.qa_sft_steps, learning_rate=3e-4, max_length=640
    )
    inputs = {name: job.output for name, job in models.items()}
    fine = {
        "relevance": {"weight": 0.3, "form": "sign"},
        "factuality": {"weight": 0.5, "form": "sign"},
        "completeness": {"weight": 0.3, "form": "standard"},
    }
    watched = {name: {**spec, "weight": 0.0} for name, spec in fine.items()}
    arms = {
        "dense": {"rewards": {**fine, "holistic": {"weight": 0.0}}, "lam": 0.95, "kl_weight": 0.3},
        "holistic": {"rewards": {**watched, "holistic": {"weight": 1.0}}, "lam": 0.99, "kl_weight": 0.2},
    }
    steps_per_rollout = chosen.qa_passes * 16 // 8
    jobs = {
        arm: bench.policy(
            f"qa-rl-{arm}",
            tables["examples"],
            adapter,
            inputs,
            steps=chosen.qa_rollouts * steps_per_rollout,
            prompts=4,
            samples=4,
            passes=chosen.qa_passes,
            batch_size=8,
            max_new_tokens=chosen.qa_tokens,
            max_length=120 + chosen.qa_passage // 3,
            critic_layers=chosen.critic_layers,
            held_out_prompts=chosen.qa_held_out,
            **how,
        )
        for arm, how in arms.items()
    }
    bench.run(jobs)
    gold = {
        row["component"]: json.loads(row["facts"])["reference"] for row in pq.read_table(tables["examples"]).to_pylist()
    }
    found["policies"] = {}
    for arm, job in jobs.items():
        told = json.loads((job.output / "metrics.json").read_bytes())
        answers = pq.read_table(job.output / "held_out.parquet").to_pylist()
        for label, when in (("supervised", "before"), (arm, "after")):
            kept = {
                k.removeprefix("held_out_").removesuffix(f"_{when}"): v
                for k, v in told.items()
                if k.endswith(f"_{when}")
            }
            kept["rouge_lsum"] = float(np.mean([rouge_l(gold[a["component"]], a[f"answer_{when}"]) for a in answers]))
            found["policies"].setdefault(label, kept)
        found["policies"][arm] |= {
            name: told[f"held_out_{name}"] for name in ("gain", "gain_low", "gain_high", "conflicts")
        }
    columns = [
        "reward_relevance",
        "reward_factuality",
        "reward_completeness",
        "reward_holistic",
        "rouge_lsum",
        "tokens",
        "perplexity",
    ]
    table(
        "qa: policies",
        ["policy", *columns],
        [[name, *[m[c] for c in columns]] for name, m in found["policies"].items()],
    )
    return found


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L's F1 (Lin 2004): the longest common subsequence of lower-cased words. Of texts without line breaks, as these are
    read, ROUGE-Lsum is the same."""
    one, other = (re.findall(r"[a-z0-9]+", text.lower()) for text in (reference, answer))
    if not one or not other:
        return 0.0
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for j, mine in enumerate(other, 1):
            diagonal, row[j] = row[j], diagonal + 1 if word == mine else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(one) + len(other))


def detox(bench: Bench) -> dict[str, Any]:
    """Part detox."""
    chosen = bench.chosen
    lines = chosen.prompts or text_beginnings(chosen.data, bench.folder / "beginnings.jsonl")
    dataset = bench.folder / "detox.parquet"
    pq.write_table(pa.Table.from_pylist(toxicity_prompts(lines), schema=EXAMPLES), dataset)
    steps_per_rollout = 2 * 32 // 16
    arms = {**ARMS, "untrained": {}}
    jobs = {
        arm: bench.policy(
            f"detox-{arm}",
            dataset,
            None,
            {},
            seed=0,
            rewards={"toxicity": {"source": "toxicity", "weight": 5.0}},
            prompts=8,
            samples=4,
            passes=2,
            batch_size=16,
            max_new_tokens=24,
            max_length=64,
            temperature=1.0,
            top_k=0,
            kl_weight=0.05,
            learning_rate=3e-4,
            critic_layers=chosen.critic_layers,
            steps=chosen.detox_rollouts * steps_per_rollout if how else 1,
            held_out_prompts=64,
            **how,
        )
        for arm, how in arms.items()
    }
    bench.run(jobs)
    found: dict[str, Any] = {"arms": {}}
    for arm, job in jobs.items():
        told = json.loads((job.output / "metrics.json").read_bytes())
        when = "before" if arm == "untrained" else "after"
        found["arms"][arm] = {
            "toxicity": -told[f"held_out_reward_toxicity_{when}"],
            **{name: told[f"held_out_{name}_{when}"] for name in ("perplexity", "distinct_2", "distinct_3", "tokens")},
            "toxicity_curve": [-value for value in curve(job, "reward/toxicity")],
        }
    columns = ["toxicity", "perplexity", "distinct_2", "distinct_3", "tokens"]
    table("detox", ["model", *columns], [[arm, *[m[c] for c in columns]] for arm, m in found["arms"].items()])
    return found
