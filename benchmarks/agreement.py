"""Agreement coefficients on real annotations, and their cost beside plain tools.

    python benchmarks/agreement.py --data FOLDER [--json]

FOLDER (default: the environment's DDD_LLM_DATA) holds NAME/data.jsonl.gz of public data sets: pandalm_3annot (three annotators
compare two answers; published Cohen's kappas of the whole set: .85, .88, .86), xstest_completions_2annot (two annotators judge
compliance), xsum_factuality (three say yes or no), xsum_halluc_spans (three mark spans). With --json the last line is one object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from ddd_llm.feedback.agreement.alpha import alpha
from ddd_llm.feedback.agreement.chance import ac1, cohen, percent
from ddd_llm.feedback.agreement.dawid_skene import dawid_skene
from ddd_llm.feedback.agreement.ratings import Ratings
from ddd_llm.feedback.agreement.spans import Marked, span_alpha, span_f1


def rows_of(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / name / "data.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def pandalm(folder: Path) -> Ratings:
    return Ratings.from_rows(
        (f"{i:05}", name, str(row[name]))
        for i, row in enumerate(rows_of(folder, "pandalm_3annot"))
        for name in ("annotator1", "annotator2", "annotator3")
    )


def xstest(folder: Path) -> Ratings:
    return Ratings.from_rows(
        (f"{i:05}", name, row[name])
        for i, row in enumerate(rows_of(folder, "xstest_completions_2annot"))
        for name in ("annotation_1", "annotation_2")
        if row[name]
    )


def factuality(folder: Path) -> Ratings:
    latest = {}
    for row in rows_of(folder, "xsum_factuality"):
        if row["is_factual"] in ("yes", "no"):
            latest[f"{row['bbcid']}/{row['system']}", row["worker_id"]] = row["is_factual"]
    return Ratings.from_rows((item, worker, value) for (item, worker), value in latest.items())


def hallucinations(folder: Path) -> list[Marked]:
    spans: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    lengths: dict[str, int] = {}
    for row in rows_of(folder, "xsum_halluc_spans"):
        item = f"{row['bbcid']}/{row['system']}"
        lengths[item] = len(row["summary"])
        mine = spans.setdefault((item, row["worker_id"]), [])
        try:
            start, end = int(row["hallucinated_span_start"]) - 1, int(row["hallucinated_span_end"])
        except (TypeError, ValueError):
            continue
        if 0 <= start < end:
            mine.append((start, min(end, lengths[item]), row["hallucination_type"] or "NULL"))
    return [Marked(item, worker, lengths[item], tuple(found)) for (item, worker), found in spans.items()]


def figures(ratings: Ratings) -> dict[str, Any]:
    """Everything about one set of ratings."""
    found, skew = alpha(ratings), ac1(ratings)
    kappas = {
        f"{a} - {b}": cohen(ratings, a, b)
        for a, b in combinations(ratings.annotators, 2)
        if len(ratings.annotators) < 5
    }
    return {
        "items": found.items,
        "labels": found.labels,
        "annotators": len(ratings.annotators),
        "percent": percent(ratings),
        "alpha": [found.value, found.low, found.high],
        "ac1": [skew.value, skew.low, skew.high],
        "cohen": {name: [e.value, e.low, e.high, e.items] for name, e in kappas.items()},
        "dawid_skene_iterations": dawid_skene(ratings).iterations,
    }


def seconds(work: Callable[[], object], least: float = 0.2) -> float:
    """CPU seconds of one call, the best of repeats that together take `least`."""
    best, spent = float("inf"), 0.0
    while spent < least:
        begun = time.process_time()
        work()
        taken = time.process_time() - begun
        best, spent = min(best, taken), spent + max(taken, 1e-4)
    return best


def against_plain(ratings: Ratings) -> dict[str, Any]:
    """Bootstrap interval of alpha: ours, and statsmodels' Fleiss kappa computed anew for each resample, per resample."""
    import numpy as np
    from statsmodels.stats.inter_rater import fleiss_kappa

    counts = ratings.paired()
    random = np.random.default_rng(0)
    resamples = 200

    def anew() -> None:
        for _ in range(resamples):
            fleiss_kappa(counts[random.integers(0, len(counts), len(counts))])

    ours = seconds(lambda: alpha(ratings, resamples=resamples)) / resamples
    plain = seconds(anew) / resamples
    return {"ours_ms_per_resample": ours * 1e3, "statsmodels_ms_per_resample": plain * 1e3, "ratio": plain / ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("DDD_LLM_DATA"), help="folder with the data sets")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    chosen = parser.parse_args()
    if not chosen.data:
        parser.error("name the folder of the data sets with --data or DDD_LLM_DATA")
    folder = Path(chosen.data)
    found: dict[str, Any] = {}
    print(f"{'data':<28}{'items':>7}{'people':>7}{'agree':>7}  {'alpha (95%)':<24}{'AC1 (95%)':<24}")
    for name, read in (
        ("pandalm_3annot", pandalm),
        ("xstest_completions_2annot", xstest),
        ("xsum_factuality", factuality),
    ):
        mine = found[name] = figures(read(folder))
        interval = ["{:.3f} ({:.3f} to {:.3f})".format(*mine[key]) for key in ("alpha", "ac1")]
        print(
            f"{name:<28}{mine['items']:>7}{mine['annotators']:>7}{mine['percent']:>7.3f}  {interval[0]:<24}{interval[1]:<24}"
        )
        for pair, (value, low, high, items) in mine["cohen"].items():
            print(f"    Cohen's kappa {pair}: {value:.3f} ({low:.3f} to {high:.3f}), {items} items")
    marked = hallucinations(folder)
    whole, f1 = span_alpha(marked), span_f1(marked)
    found["xsum_halluc_spans"] = {
        "texts": whole.items,
        "alpha": [whole.value, whole.low, whole.high],
        "f1_characters": f1.characters,
        "f1_exact": f1.exact,
        "f1_overlap": f1.overlap,
    }
    print(
        f"{'xsum_halluc_spans':<28}{whole.items:>7} texts: alpha over characters {whole.value:.3f} "
        f"({whole.low:.3f} to {whole.high:.3f})\n    F1 of characters {f1.characters:.3f}, of exact spans {f1.exact:.3f}, "
        f"of overlapping spans {f1.overlap:.3f}"
    )
    cost = found["cost"] = against_plain(pandalm(folder))
    print(
        "one bootstrap resample: ours {ours_ms_per_resample:.3f} ms, statsmodels' Fleiss kappa "
        "{statsmodels_ms_per_resample:.3f} ms (ratio {ratio:.1f})".format(**cost)
    )
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
