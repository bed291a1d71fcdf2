"""What a person wants to know when a refresh is over, read from the heads of the store."""

from __future__ import annotations

from typing import Any

from ddd_llm.platform.settings import Settings
from ddd_llm.platform.versions import versions
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.errors import StoreError
from ddd_llm.store.session import Held, Session, unmet


def _head(session: Session, asset: str) -> Held | None:
    try:
        return session.head(asset)
    except StoreError:
        return None


def _funnel(session: Session) -> list[str]:
    """Documents in, kept and dropped, with the reasons, over the stages of the corpus."""
    found: dict[str, dict[str, Any]] = {}
    for asset in ("raw_documents", "governed_documents"):
        total: dict[str, Any] = {}
        for partition in session.partitions(asset):
            held = session.head(asset, partition)
            for key, value in (held.record.summary if held else {}).items():
                if isinstance(value, int):
                    total[key] = total.get(key, 0) + value
                elif isinstance(value, dict):
                    part = total.setdefault(key, {})
                    for reason, count in value.items():
                        part[reason] = part.get(reason, 0) + count
        found[asset] = total
    for asset in ("deduplicated_documents", "curated_documents"):
        head = _head(session, asset)
        found[asset] = dict(head.record.summary) if head else {}
    lines = []
    for asset, said in found.items():
        if said:
            reasons = ", ".join(f"{name} {count:,}" for name, count in (said.get("dropped_by_reason") or {}).items())
            lines.append(
                f"  {asset:<24} {said.get('documents_in', 0):>8,} in {said.get('kept', 0):>8,} kept "
                f"{said.get('dropped', 0):>7,} dropped{f'  ({reasons})' if reasons else ''}"
            )
    return lines


def summary(store: ArtifactStore, settings: Settings, seconds: float) -> str:
    """The closing lines of `make demo`."""
    session = Session.current(store)
    lines = ["", "documents", *_funnel(session)]
    dataset = _head(session, "instruction_dataset")
    if dataset is not None:
        said = dataset.record.summary
        splits = ", ".join(f"{split} {count:,}" for split, count in said.get("examples_per_split", {}).items())
        lines += ["", f"examples     {splits}"]
    report = _head(session, "delta_report")
    if report is not None:
        said = report.record.summary
        lines.append(
            f"base         {said['base_score']:.3f}\ntuned        {said['tuned_score']:.3f}   difference {said['delta']:+.3f} "
            f"(95% interval {said['delta_low']:+.3f} to {said['delta_high']:+.3f}, n={said['items']}, "
            f"smallest difference this n can show {said['minimum_detectable_effect']:.3f})"
        )
        bad = unmet(store, report)
        verdict = "passed" if not bad else "NOT passed: " + "; ".join(said.get("gate_reasons", []))
        lines.append(f"gate         {verdict}")
    known = [v for v in versions(store) if v.name == settings.model_name]
    if known:
        last = known[-1]
        lines.append(f"registered   {last.name}/{last.version}{f' (alias {last.alias})' if last.alias else ''}")
        home = f" --home {settings.home}"
        lines += [
            "",
            "next",
            "  make ui                                            see it in Dagster, MLflow and the report pages",
            f"  .venv/bin/ddd-llm audit trace {last.name}/{last.version} --html lineage.html{home}",
            f"  .venv/bin/ddd-llm audit verify{home}",
        ]
    else:
        lines += [
            "",
            "no model version is registered",
            "next",
            "  make ui",
            "  .venv/bin/ddd-llm doctor",
            "  make demo",
        ]
    return "\n".join([*lines, "", f"{seconds / 60:.1f} minutes"])
