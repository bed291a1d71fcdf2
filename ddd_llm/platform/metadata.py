"""How a record looks in Dagster's UI: counts, pictures, column schema and a link to its report page. Never document text."""

from __future__ import annotations

import base64
from typing import Any

import dagster as dg

from ddd_llm.platform.nodes import Node
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.records import REPORT, TableRef
from ddd_llm.store.session import Held

LARGEST_PICTURE = 120_000


def picture_markdown(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A PNG inlined as a Markdown image, the one form of plot that Dagster's UI shows."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def table_markdown(rows: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """A list of equal-shaped dicts as a Markdown table, cells escaped."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return "".join(f"&#{ord(c)};" if c in "<>&|`[]*_!\n\r" else c for c in text)


def materialisation_metadata(
    store: ArtifactStore, node: Node, held: Held, settings: Settings, reused: bool
) -> dict[str, Any]:
    """Metadata of one materialisation, from its record alone."""
    record = held.record
    found: dict[str, Any] = {}
    for name, value in record.summary.items():
        found[name.replace("_", " ")] = _shown(value)
    for name, ref in record.files.items():
        if name.startswith(REPORT) and name.endswith(".png") and ref.size <= LARGEST_PICTURE:
            title = name.removeprefix(REPORT).removesuffix(".png").replace("_", " ")
            found[title] = picture_markdown(store.read_bytes(ref), title)
    if f"{REPORT}index.html" in record.files:
        found["report"] = dg.MetadataValue.url(settings.page_url(held.digest))
    if record.main_table is not None:
        found["dagster/row_count"] = record.rows
        found["dagster/column_schema"] = _schema(node, record.tables[record.main_table])
    if record.timings:
        found["seconds per part"] = table_markdown([{"part": k, "seconds": v} for k, v in record.timings.items()])
    found["record"] = held.digest
    found["fingerprint"] = record.fingerprint
    found["outcome"] = "up to date: the record that was there was kept" if reused else "new record written"
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return table_markdown([{"": k, "value": v} for k, v in value.items()]) if value else "none"
    if isinstance(value, list):
        return table_markdown(value) if value and isinstance(value[0], dict) else ", ".join(map(str, value)) or "none"
    return value


def _schema(node: Node, table: TableRef) -> dg.TableSchema:
    columns = table.columns.items()
    return dg.TableSchema([dg.TableColumn(name, kind, description=node.columns.get(name)) for name, kind in columns])
