"""Page and summary of curation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.filters.policy import CurationPolicy, approval_verdict
from ddd_llm.corpus.quality import Judgement, keep_rates
from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, head, per_source, put_funnel
from ddd_llm.corpus.reports.fairness import fairness_section
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.plots import heatmap, histogram
from ddd_llm.platform.report import Page, Sample
from ddd_llm.platform.step import Step

HISTOGRAMS = 4
SOURCES_DRAWN = 16
ROWS_SHOWN = 200


def report_curated(
    step: Step,
    kept: pa.Table,
    decisions: pa.Table,
    documents: pa.Table,
    policy: CurationPolicy,
    grounds: Judgement,
    rates: pa.Table,
    more: Callable[[Page], object] | None = None,
) -> None:
    """Summary and page of curation.

    Args:
        step: gets summary, pictures and report.
        kept: the documents kept.
        decisions: one per document, by whatever pass; documents are found by `id`.
        documents: all documents that decisions speak of, texts pseudonymised.
        policy: what they were judged by.
        grounds: what the rules measured, of the documents they saw.
        rates: as `slice_rates` gives them.
        more: adds sections of other passes after the funnel.
    """
    put_funnel(step, "curated_documents", len(decisions), len(kept), counts(decisions["reason"]))
    page = head(Page("curated_documents", "Quality rules of assets/policies/curation.yaml"), step)
    _standard(step, page, policy)
    if more is not None:
        more(page)
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    per_source(page, ["kept", "dropped"], [kept, dropped])
    _rules(step, page, policy, grounds, counts(dropped["reason"]))
    _rates(step, page, decisions)
    _values(step, page, policy, grounds)
    fairness_section(step, page, rates, policy.fairness)
    _samples(page, documents, decisions, grounds, policy.borderline.samples)
    step.put_report(page.html())


def _standard(step: Step, page: Page, policy: CurationPolicy) -> None:
    approved, sentence, _ = approval_verdict(policy.model_dump(mode="json"))
    state = f"approved by {policy.approved_by}, {policy.approved_on}" if approved else "not approved"
    step.summary |= {"curation_standard": f"version {policy.version}, {state}"}
    page.callout(sentence, [f"Digest of the rules: {policy.digest}"], passed=approved)


def _rules(step: Step, page: Page, policy: CurationPolicy, grounds: Judgement, dropped: dict[str, int]) -> None:
    near = grounds.borderline
    passed, failed = (counts(near.filter(mask)["rule"]) for mask in (near["passed"], pc.invert(near["passed"])))  # type: ignore[attr-defined]
    step.summary |= {"borderline_documents": len(near["id"].unique())}
    page.heading("Rules, in the order of asking")
    rows = []
    for rule in policy.rules:
        asked = len(grounds.measures) - grounds.measures[rule.rule].null_count
        share = f"{dropped.get(rule.rule, 0) / asked:.2%}" if asked else "—"
        found = [f"{n:,}" for n in (asked, dropped.get(rule.rule, 0))]
        near_misses = [f"{side.get(rule.rule, 0):,}" for side in (failed, passed)]
        rows.append([rule.rule, *found, share, *near_misses, rule.origin])
    page.table(["rule", "asked", "dropped", "of those asked", "just failed", "just passed", "adapted from"], rows)


def _rates(step: Step, page: Page, decisions: pa.Table) -> None:
    rates = keep_rates(decisions).to_pylist()
    page.heading("Dropped, by rule and source")
    if not rates:
        page.paragraph("Nothing was dropped.")
        return
    sizes = counts(decisions["source"])
    rules = sorted({row["rule"] for row in rates})
    drawn = sorted(list(sizes)[:SOURCES_DRAWN])
    share = {(row["rule"], row["source"]): row["share"] for row in rates}
    picture = heatmap(
        rules,
        drawn,
        [[share.get((rule, source), 0.0) for source in drawn] for rule in rules],
        "Share of each source dropped",
    )
    step.put_picture("dropped_by_rule_and_source", picture)
    caption = "" if len(drawn) == len(sizes) else f"the {len(drawn)} largest of {len(sizes)} sources"
    page.figure(picture, "Heatmap of dropped shares, by rule and source", caption)
    shown = sorted(rates, key=lambda row: (-row["dropped"], row["rule"], row["source"]))[:ROWS_SHOWN]
    page.table(
        ["rule", "source", "dropped", "of the source", "keep rate"],
        [
            [row["rule"], row["source"], f"{row['dropped']:,}", f"{row['share']:.2%}", f"{1 - row['share']:.2%}"]
            for row in shown
        ],
        caption="" if len(shown) == len(rates) else f"the first {len(shown)} of {len(rates):,}",
    )


def _values(step: Step, page: Page, policy: CurationPolicy, grounds: Judgement) -> None:
    """Histograms of what the rules measured that drop most, of those that measure more than yes and no."""
    dropped = counts(grounds.decisions["reason"])
    drawn = 0
    for name in dropped:
        values = np.asarray(grounds.measures[name].drop_null(), np.float64)
        if drawn == HISTOGRAMS or np.isin(values, (0, 1)).all():
            continue
        if not drawn:
            page.heading("What the rules that drop most measured")
        drawn += 1
        top = float(np.quantile(values, 0.99))
        rule = next(rule for rule in policy.rules if rule.rule == name)
        settings = rule.model_dump(exclude={"rule", "version"}).items()
        limits = ", ".join(f"{key} {value}" for key, value in settings)
        limit = next(
            (float(v) for k, v in settings if k.startswith(("least", "most", "max")) and isinstance(v, int | float)),
            None,
        )
        picture = histogram(
            np.minimum(values, top).tolist(), name.replace("_", " "), "value measured", log_counts=True, limit=limit
        )
        step.put_picture(f"value_of_{name}", picture)
        page.figure(
            picture,
            f"Histogram of the values of {name}",
            f"dashed: the limit ({limits}); values above {top:.4g} drawn there",
        )


def _samples(page: Page, documents: pa.Table, decisions: pa.Table, grounds: Judgement, number: int) -> None:
    near = grounds.borderline
    just_failed = near.filter(pc.invert(near["passed"]))  # type: ignore[attr-defined]
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    page.heading("Samples: dropped")
    for reason, count in counts(dropped["reason"]).items():
        rows = dropped.filter(pc.equal(dropped["reason"], reason))  # type: ignore[attr-defined]
        clear = rows.filter(pc.invert(pc.is_in(rows["id"], value_set=just_failed["id"].combine_chunks())))  # type: ignore[attr-defined]
        page.paragraph(f"{reason}: {count:,}")
        page.samples([_sample(documents, row["id"], "") for row in clear.slice(0, number).to_pylist()])
    page.heading("Samples: borderline")
    if not len(near):
        page.paragraph("No document is near a limit.")
    for rule in counts(near["rule"]):
        rows = near.filter(pc.equal(near["rule"], rule))  # type: ignore[attr-defined]
        for passed, name in ((False, "just failed"), (True, "just passed")):
            found = rows.filter(pc.equal(rows["passed"], passed))  # type: ignore[attr-defined]
            if len(found):
                page.paragraph(f"{rule}, {name}: {len(found):,}")
            page.samples(
                [
                    _sample(documents, row["id"], f"{row['value']:.4g} at a limit of {row['limit']:.4g}")
                    for row in found.slice(0, number).to_pylist()
                ]
            )


def _sample(documents: pa.Table, identifier: str, note: str) -> Sample:
    (row,) = documents.filter(pc.equal(documents["id"], identifier)).slice(0, 1).to_pylist()  # type: ignore[attr-defined]
    said = f" ({note})" if note else ""
    return Sample(f"{row['source']} {row['locator']}{said}", {"text": row["text"][:LONGEST_SAMPLE]})
