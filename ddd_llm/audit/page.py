"""A traced lineage as one self-contained page: a drawing, the verdict, and every record in a table."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Any

from ddd_llm.audit.trace import Trace
from ddd_llm.platform.report import KeyFigure, Page, visible

BOX, GAP_X, GAP_Y, HEIGHT = 210, 60, 34, 46


def lineage_page(reference: str, trace: Trace) -> bytes:
    """The page of one trace; escaped throughout, no script, no external resource."""
    page = Page(f"Lineage of {reference}", f"Record {trace.root}")
    partitions = sum(node["partition"] is not None for node in trace.nodes)
    page.key_figures(
        [
            KeyFigure("records", f"{len(trace.nodes):,}", f"{partitions} of them batches"),
            KeyFigure("rows", f"{sum(node['rows'] for node in trace.nodes):,}", "over all main tables"),
            KeyFigure("problems", str(len(trace.problems)), "digests that do not fit"),
        ]
    )
    title = "Every digest on the way fits" if trace.verified else "This lineage does not verify"
    page.callout(title, trace.problems, passed=trace.verified)
    page.figure(
        drawing(trace), f"Lineage of {reference}, sources above, model version below", media_type="image/svg+xml"
    )
    page.heading("Sources")
    seen = {(s["name"], s.get("licence"), s.get("owner")): s for node in trace.nodes for s in node["sources"]}
    rows = [[s["name"], s.get("licence") or "none", s.get("legal_basis") or "none", s.get("owner", "")] for _, s in sorted(
        seen.items(), key=lambda item: str(item[0]))]  # fmt: skip
    page.table(["source", "licence (SPDX)", "legal basis", "owner"], rows)
    page.heading("Records")
    page.table(
        ["asset", "batch", "rows", "record", "data digest", "code", "checks", "written (UTC)"],
        [
            [
                node["asset"], node["partition"] or "", f"{node['rows']:,}", node["record"][:16], node["digest"][:16],
                node["code_version"][:12], _checks(node["checks"]), node["finished"][:19],
            ]
            for node in reversed(trace.nodes)
        ],
    )  # fmt: skip
    return page.encode()


def _checks(checks: dict[str, bool]) -> str:
    failed = [name for name, passed in checks.items() if not passed]
    return f"failed: {', '.join(failed)}" if failed else f"{len(checks)} passed" if checks else ""


def _depths(trace: Trace) -> dict[str, int]:
    """Depth of each asset: one more than the deepest asset it is made from."""
    asset = {node["record"]: node["asset"] for node in trace.nodes}
    parents: dict[str, set[str]] = defaultdict(set)
    for child, parent in trace.edges:
        if child in asset and parent in asset and asset[child] != asset[parent]:
            parents[asset[child]].add(asset[parent])
    depth: dict[str, int] = {}

    def of(name: str, path: tuple[str, ...] = ()) -> int:
        # A champion kept as a baseline closes a ring (a model version compared with an older model version).
        if name not in depth:
            above = [of(parent, (*path, name)) for parent in sorted(parents[name]) if parent not in (*path, name)]
            if path:
                return max(above, default=-1) + 1
            depth[name] = max(above, default=-1) + 1
        return depth[name]

    for name in sorted(set(asset.values())):
        of(name)
    return depth


def drawing(trace: Trace) -> bytes:
    """An SVG of the assets in the trace, one box an asset, rows by depth, arrows from source down to result."""
    depth = _depths(trace)
    nodes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for node in trace.nodes:
        nodes[node["asset"]].append(node)
    asset = {node["record"]: node["asset"] for node in trace.nodes}
    layers: dict[int, list[str]] = defaultdict(list)
    for name in sorted(depth, key=lambda n: (depth[n], n)):
        layers[depth[name]].append(name)
    widest = max((len(names) for names in layers.values()), default=1)
    width = widest * (BOX + GAP_X) + GAP_X
    height = len(layers) * (HEIGHT + GAP_Y) + GAP_Y
    place: dict[str, tuple[float, float]] = {}
    for layer, names in layers.items():
        left = (width - len(names) * (BOX + GAP_X) + GAP_X) / 2
        for column, name in enumerate(names):
            place[name] = (left + column * (BOX + GAP_X), GAP_Y / 2 + layer * (HEIGHT + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
        'font-family="system-ui, sans-serif"><defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#5b6570"/></marker></defs>'
    ]
    drawn = {(asset[p], asset[c]) for c, p in trace.edges if c in asset and p in asset and asset[c] != asset[p]}
    for parent, child in sorted(drawn):
        (x1, y1), (x2, y2) = place[parent], place[child]
        x1, y1, x2 = x1 + BOX / 2, y1 + HEIGHT, x2 + BOX / 2
        # An arrow that skips layers swings aside, so that it does not run behind the boxes between.
        aside = 0.0 if depth[child] - depth[parent] == 1 else (BOX * 0.75 if x1 >= width / 2 else -BOX * 0.75)
        parts.append(
            f'<path d="M{x1:.0f} {y1:.0f}C{x1 + aside:.0f} {y1 + GAP_Y:.0f} {x2 + aside:.0f} {y2 - GAP_Y:.0f} {x2:.0f} '
            f'{y2 - 2:.0f}" fill="none" stroke="#5b6570" stroke-width="1.3" marker-end="url(#a)"/>'
        )
    for name, (x, y) in place.items():
        records = nodes[name]
        bad = any(not all(record["checks"].values()) for record in records)
        rows = sum(record["rows"] for record in records)
        note = f"{len(records)} records, {rows:,} rows" if len(records) > 1 else f"{rows:,} rows" if rows else "files"
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="7" fill="#f6f8fa" '
            f'stroke="{"#b84a00" if bad else "#0072b2"}" stroke-width="1.5"/>'
            f'<text x="{x + 10:.0f}" y="{y + 19:.0f}" font-size="12.5" font-weight="600" fill="#1b1f24">{escape(visible(name))}'
            f'</text><text x="{x + 10:.0f}" y="{y + 36:.0f}" font-size="11" fill="#5b6570">{escape(note)}</text>'
        )
    return "".join([*parts, "</svg>"]).encode()
