"""What the lineage costs: imports, the corpus stage per step, orchestration, and training against a plain script.

    python benchmarks/lineage.py [--json] [--home DIR] [--rounds N]

Imports are timed in fresh processes, in turns. Corpus and orchestration are read from a whole refresh (`make demo`) in a home
of its own; `--home` names a folder to keep it in. Training runs our worker and a plain TRL script with the same settings in
turns, on the dataset of that refresh.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ddd_llm.platform.home import prepare_home
from ddd_llm.platform.settings import load_settings
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Held, Session

CORPUS = ("raw_documents", "governed_documents", "document_signatures", "deduplicated_documents", "curated_documents")
# Parts of steps that are the product's work proper; what a refresh takes beyond them is orchestration.
KERNELS = ("read", "govern", "signatures", "fold batches", "deduplicate", "similar pairs", "curate", "generate", "build",
           "prepare", "train", "score", "register")  # fmt: skip


def child(code: str, environ: dict[str, str]) -> tuple[float, float, str]:
    """(CPU seconds, peak memory in MB, output) of a fresh Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, after.ru_maxrss / 1024, done.stdout


def imports(environ: dict[str, str], rounds: int) -> dict[str, Any]:
    """CPU seconds of importing our definitions, and Dagster alone, in turns."""
    times: dict[str, list[float]] = {"dagster": [], "ddd_llm.definitions": []}
    for _ in range(rounds + 1):
        for name, found in times.items():
            found.append(child(f"import {name}", environ)[0])
    middle = {name: statistics.median(found[1:]) for name, found in times.items()}
    return {"cpu_s": middle, "ratio": middle["ddd_llm.definitions"] / middle["dagster"]}


def refresh(environ: dict[str, str]) -> tuple[float, float]:
    """(wall seconds, peak memory in MB of the largest process) of a whole refresh."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ddd_llm.automation.refresh"], env=environ, check=True)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def corpus(heads: dict[str, Held]) -> list[dict[str, Any]]:
    """Documents and megabytes per second of each corpus step, as its record says."""
    megabytes = heads["raw_documents"].record.summary["megabytes"]
    rows = []
    for name in CORPUS:
        record = heads[name].record
        seconds = sum(record.timings.values())
        documents = record.summary.get("documents_in") or record.summary.get("documents") or 0
        rows.append(
            {"step": name, "documents": documents, "seconds": round(seconds, 2), "docs_per_s": round(documents / seconds),
             "mb_per_s": round(megabytes / seconds, 2)}
        )  # fmt: skip
    return rows


def peaks(environ: dict[str, str], settings_home: str) -> dict[str, float]:
    """Peak memory in MB of each corpus step, made again alone in a process of its own."""
    found = {}
    for name in CORPUS:
        code = (
            "import dagster as dg, os\nfrom ddd_llm.definitions import defs\nfrom ddd_llm.platform.lineage import FORCE_TAG\n"
            "i = dg.DagsterInstance.ephemeral(); i.add_dynamic_partitions('batch', ['batch-00001'])\n"
            f"r = defs.resolve_job_def('lineage').execute_in_process(instance=i, partition_key='batch-00001', "
            f"asset_selection=[dg.AssetKey('{name}')], tags={{FORCE_TAG: 'true'}}, "
            "run_config={'loggers': {'console': {}}})\n"
            "import resource; print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        found[name] = round(float(child(code, environ)[2].rpartition("PEAK ")[2]))
    return found


def training(store_uri: str, heads: dict[str, Held], rounds: int, steps: int) -> dict[str, Any]:
    """Tokens per second of our worker and of a plain TRL script, same model, data and settings, in turns."""
    import pyarrow.parquet as pq

    from ddd_llm.training.launch import environment, run_plain
    from ddd_llm.training.recipe import SftRecipe
    from ddd_llm.training.sft import SftJob

    store = open_store(store_uri)
    recipe = SftRecipe.model_validate(heads["sft_model"].record.config | {"steps": steps})
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        base = store.checkout(heads["base_model"].record, "model/", root / "base")
        data = root / "examples.parquet"
        pq.write_table(store.read_table(heads["instruction_dataset"].record.tables["examples"]), data)
        for number in range(rounds):
            job = SftJob(
                base=base,
                dataset=data,
                recipe=recipe,
                scratch=root / f"scratch{number}",
                output=root / f"out{number}",
            )
            run_plain(job)
            ours.append(json.loads((job.output / "timings.json").read_bytes())["tokens_per_s"])
            settings = root / "recipe.json"
            done = json.loads((job.output / "metrics.json").read_bytes())
            attention = "eager" if done["eager_up_to"] else "sdpa"
            settings.write_text(
                recipe.model_copy(update={"dtype": done["dtype"], "attention": attention}).model_dump_json()
            )
            script = [str(Path(__file__).parent / "_plain_trl.py"), "--base", str(base), "--dataset", str(data)]
            environ = environment(recipe)
            command = [sys.executable, *script, "--recipe", str(settings)]
            said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
            plain.append(json.loads(said.stdout.strip().splitlines()[-1])["tokens_per_s"])
    middle = {"ddd_llm": statistics.median(ours), "plain_trl": statistics.median(plain)}
    return {"tokens_per_s": middle, "ratio": middle["ddd_llm"] / middle["plain_trl"], "rounds": rounds, "steps": steps}


def main() -> None:
    """Measure, print tables, and with --json one object as the last line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--home", type=Path, help="home of the measured refresh; kept (default: a temporary folder)")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--training-steps", type=int, default=12)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = chosen.home or Path(temporary)
        settings = load_settings({**os.environ, "DDD_LLM_HOME": str(home)})
        environ = prepare_home(settings)
        result: dict[str, Any] = {"imports": imports(environ, chosen.rounds)}
        done_before = any(open_store(settings.store).record_digests())
        wall, peak = refresh(environ)
        session = Session.current(open_store(settings.store))
        assets = dict(sorted(session.store.head_numbers(), key=str))
        heads = {asset: held for asset, part in assets.items() if (held := session.head(asset, part)) is not None}
        kernels = sum(v for h in heads.values() for k, v in h.record.timings.items() if k in KERNELS)
        if not done_before:
            result["refresh"] = {
                "wall_s": round(wall, 1), "kernels_s": round(kernels, 1), "orchestration_share": round(1 - kernels / wall, 4),
                "peak_mb": round(peak),
            }  # fmt: skip
        memory = peaks(environ, str(home))
        result["corpus"] = [{**row, "peak_mb": memory[row["step"]]} for row in corpus(heads)]
        result["training"] = training(settings.store, heads, chosen.rounds, chosen.training_steps)
    show(result)
    if chosen.json:
        print(json.dumps(result))


def show(result: dict[str, Any]) -> None:
    """Tables for people."""
    found = result["imports"]
    print("\nimport (CPU s, median)")
    for name, seconds in found["cpu_s"].items():
        print(f"  {name:<24}{seconds:>8.2f}")
    print(f"  ratio {found['ratio']:.2f}\n\ncorpus stage")
    print(f"  {'step':<24}{'documents':>10}{'s':>8}{'docs/s':>10}{'MB/s':>8}{'peak MB':>9}")
    for row in result["corpus"]:
        print(
            f"  {row['step']:<24}{row['documents']:>10,}{row['seconds']:>8.1f}{row['docs_per_s']:>10,}{row['mb_per_s']:>8.1f}"
            f"{row['peak_mb']:>9,}"
        )
    if "refresh" in result:
        whole = result["refresh"]
        print(
            f"\nwhole refresh {whole['wall_s']:.0f} s, in kernels {whole['kernels_s']:.0f} s, orchestration "
            f"{whole['orchestration_share']:.1%}, peak {whole['peak_mb']:,} MB"
        )
    found = result["training"]
    speeds = ", ".join(f"{name} {speed:.0f}" for name, speed in found["tokens_per_s"].items())
    print(
        f"\ntraining tokens/s: {speeds}; ratio {found['ratio']:.2f} ({found['rounds']} rounds of {found['steps']} steps)"
    )


if __name__ == "__main__":
    main()
