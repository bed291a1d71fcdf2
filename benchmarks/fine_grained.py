"""Fine-grained RLHF beside plain RLHF: the same trainer, rewards, prompts and seeds; only where the reward lies differs.

    python benchmarks/fine_grained.py [--parts steps,ablation,qa,detox,time] [--seeds N] [--data DIR] [--base DIR] [--json] ...

steps     How many rollouts dense needs to reach what holistic reaches in all of them. Questions about real signatures; each
          listed name is checked against the signature, so the reward is exact. Paired seeds; the interval is over seeds.
ablation  Three rewards (wrong and right names, omissions, words) together, each left out, and the weight of words swept: what
          each one does, and where they pull against one another.
qa        QA-FEEDBACK (--data names a folder with qa_feedback): reward models with F1 and trivial baselines, then supervised
          fine-tuning, then policy optimisation dense and holistic, on held-out questions. As it stands it ends within an hour on
          two cores with --jobs 2; a GPU has time for --reward-steps 80 --reward-layers 12 --qa-sft-steps 40 --qa-rollouts 20
          --qa-passes 2 --qa-passage 900 --qa-tokens 80 --qa-held-out 64.
detox     Sentence-level toxicity (--data with surge_toxicity, or --prompts FILE in the form of RealToxicityPrompts): toxicity and
          fluency against steps, dense and holistic.
time      Seconds per optimizer step, sampling included, beside TRL's own GRPO with the same model, batches and sampling.

Everything runs on a GPU where torch finds one. `--base` names a prepared base model folder; default: the embedded 135M model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _fine_grained_bench import ARMS, Bench, curve, interval, reach, smooth, table, with_interval
from _fine_grained_data import listing_examples
from _fine_grained_tasks import detox, qa

PARTS = ("steps", "ablation", "qa", "detox", "time")


def steps(bench: Bench) -> dict[str, Any]:
    """Part steps."""
    chosen = bench.chosen
    dataset = listing_examples(bench.folder / "listing.parquet", *chosen.parameters)
    adapter = bench.supervised("steps-sft", dataset, steps=chosen.sft_steps, learning_rate=2e-4)
    jobs = {}
    for seed in range(chosen.seeds):
        for arm, how in ARMS.items():
            jobs[f"{arm}-{seed}"] = bench.policy(
                f"steps-{arm}-{seed}", dataset, adapter, {}, seed=seed, **how, **_listing_settings(chosen)
            )
    bench.run(jobs)
    rows = []
    for seed in range(chosen.seeds):
        dense, whole = curve(jobs[f"dense-{seed}"]), curve(jobs[f"holistic-{seed}"])
        level = smooth(whole)[-1]
        own, theirs = reach(dense, level), reach(whole, level)
        rows.append(
            {
                "seed": seed,
                "first": float(np.mean(dense[:2])),
                "holistic_final": level,
                "dense_final": smooth(dense)[-1],
                "dense_rollouts": own,
                "holistic_rollouts": theirs,
                "ratio": None if own is None or theirs is None else own / theirs,
                "area_dense": float(np.mean(dense)),
                "area_holistic": float(np.mean(whole)),
                "curve_dense": dense,
                "curve_holistic": whole,
            }
        )
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    found: dict[str, Any] = {"seeds": rows, "never_reached": len(rows) - len(ratios)}
    if ratios:
        found["ratio"], found["ratio_low"], found["ratio_high"] = interval(ratios)
    gains = [row["area_dense"] - row["area_holistic"] for row in rows]
    found["area_gain"], found["area_gain_low"], found["area_gain_high"] = interval(gains)
    shown = [
        [
            r["seed"],
            r["first"],
            r["holistic_final"],
            r["dense_final"],
            r["holistic_rollouts"],
            r["dense_rollouts"],
            r["ratio"],
        ]
        for r in rows
    ]
    table("steps", ["seed", "start", "holistic end", "dense end", "holistic needs", "dense needs", "ratio"], shown)
    print(
        f"  ratio {with_interval(found, 'ratio')}, difference of mean reward {with_interval(found, 'area_gain')}; "
        f"never reached: {found['never_reached']}"
    )
    return found


def _listing_settings(chosen: argparse.Namespace) -> dict[str, Any]:
    answers, batch, passes = chosen.prompts_per_rollout * 4, 16, 2
    longest = 8 * chosen.parameters[1]
    return {
        "rewards": {"names": {"source": "listing", "weight": 1.0}},
        "steps": chosen.rollouts * passes * answers // batch,
        "prompts": chosen.prompts_per_rollout,
        "samples": 4,
        "passes": passes,
        "batch_size": batch,
        "max_new_tokens": longest,
        "max_length": 70 + 2 * longest,
        "kl_weight": 0.05,
        "learning_rate": 2e-4,
        "critic_learning_rate": 1e-3,
        "critic_layers": chosen.critic_layers,
        "value_clip": chosen.value_clip,
        "temperature": 1.0,
        "held_out_prompts": 32,
    }


def ablation(bench: Bench) -> dict[str, Any]:
    """Part ablation: each of three rewards left out (weight 0: still measured), and the weight of the cost of words swept."""
    chosen = bench.chosen
    dataset = listing_examples(bench.folder / "listing.parquet", *chosen.parameters)
    adapter = bench.folder / "steps-sft" / "adapter"
    if not adapter.is_dir():
        adapter = bench.supervised("steps-sft", dataset, steps=chosen.sft_steps, learning_rate=2e-4)
    mixes = {
        "all three": _mix(),
        "without names": _mix(names=0.0),
        "without omissions": _mix(omissions=0.0),
        "without conciseness": _mix(concise=0.0),
        "conciseness 1": _mix(concise=1.0),
        "conciseness 4": _mix(concise=4.0),
        "conciseness alone": _mix(names=0.0, omissions=0.0),
    }
    jobs = {
        name: bench.policy(
            f"ablation-{i}",
            dataset,
            adapter,
            {},
            seed=0,
            **ARMS["dense"],
            **{**_listing_settings(chosen), "rewards": mix},
        )
        for i, (name, mix) in enumerate(mixes.items())
    }
    bench.run(jobs)
    rows = []
    for name, job in jobs.items():
        told = json.loads((job.output / "metrics.json").read_bytes())
        rows.append(
            {
                "mix": name,
                **{k.removeprefix("held_out_"): v for k, v in told.items() if k.endswith("_after")},
                "conflicts": told["held_out_conflicts"],
            }
        )
    table(
        "ablation, held-out answers after training",
        ["rewards", "names", "omissions", "conciseness", "tokens", "perplexity"],
        [
            [r["mix"], *(r[f"reward_{name}_after"] for name in _mix()), r["tokens_after"], r["perplexity_after"]]
            for r in rows
        ],
    )
    table(
        "segment by segment, all three",
        ["reward", "and", "segments", "correlation"],
        [[*c["rewards"], c["segments"], c["correlation"]] for c in rows[0]["conflicts"]],
    )
    return {"mixes": rows}


def _mix(names: float = 1.0, omissions: float = 1.0, concise: float = 0.25) -> dict[str, Any]:
    return {
        "names": {"source": "names", "weight": names},
        "omissions": {"source": "omissions", "weight": omissions},
        "concise": {"source": "brevity", "weight": concise},
    }


def time_per_step(bench: Bench) -> dict[str, Any]:
    """Part time."""
    chosen = bench.chosen
    dataset = listing_examples(bench.folder / "listing.parquet", *chosen.parameters)
    settings = {**_listing_settings(chosen), "steps": 12}
    ours = bench.policy("time-ours", dataset, None, {}, **ARMS["dense"], **settings)
    command = [
        sys.executable,
        str(Path(__file__).with_name("_plain_grpo.py")),
        str(bench.base),
        str(dataset),
        json.dumps(settings),
    ]
    environ = {**os.environ, "OMP_NUM_THREADS": str(bench.threads)}
    rows = []
    for turn in range(chosen.rounds):
        bench.run({f"ours, turn {turn + 1}": ours})
        mine = json.loads((ours.output / "timings.json").read_bytes())
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
        rows.append(
            {"ours_s": mine["steps_wall_s"] / mine["steps_timed"], "grpo_s": theirs["seconds"] / theirs["steps"]}
        )
    middle = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    middle["ratio"] = middle["ours_s"] / middle["grpo_s"]
    table("time per optimizer step", ["ours, s", "TRL's GRPO, s", "ratio"], [list(middle.values())])
    return {**middle, "rounds": rows}


def main() -> None:
    """Measure, print tables, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="steps,time")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rollouts", type=int, default=40, help="of each policy in steps and ablation")
    parser.add_argument(
        "--parameters", type=int, nargs=2, default=(2, 8), help="fewest and most of the functions asked about"
    )
    parser.add_argument("--prompts-per-rollout", type=int, default=4, help="4 answers each")
    parser.add_argument("--value-clip", type=float, default=20.0)
    parser.add_argument("--sft-steps", type=int, default=12)
    parser.add_argument("--critic-layers", type=int, default=8)
    parser.add_argument("--reward-steps", type=int, default=24)
    parser.add_argument("--reward-layers", type=int, default=8)
    parser.add_argument("--qa-sft-steps", type=int, default=16)
    parser.add_argument("--qa-rollouts", type=int, default=5)
    parser.add_argument("--qa-passes", type=int, default=1, help="over a rollout")
    parser.add_argument("--qa-passage", type=int, default=400, help="most characters of the passages")
    parser.add_argument("--qa-tokens", type=int, default=48, help="of the longest answer")
    parser.add_argument("--qa-held-out", type=int, default=24, help="questions answered before and after")
    parser.add_argument("--detox-rollouts", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2, help="turns of part time")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once (a GPU has room for several)")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--data", type=Path, help="folder with qa_feedback and surge_toxicity")
    parser.add_argument("--prompts", type=Path, help="JSON Lines in the form of RealToxicityPrompts")
    parser.add_argument("--folder", type=Path, help="keep everything here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    parts = chosen.parts.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"unknown parts {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if "qa" in parts and chosen.data is None:
        parser.error("part qa needs --data")
    if "detox" in parts and chosen.data is None and chosen.prompts is None:
        parser.error("part detox needs --data or --prompts")
    work = {"steps": steps, "ablation": ablation, "qa": qa, "detox": detox, "time": time_per_step}
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(chosen, folder)
        found = {part: work[part](bench) for part in PARTS if part in parts}
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
