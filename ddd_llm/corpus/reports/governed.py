"""Page and summary of one batch's governance: what was let in, on which ground, and what lets the rest in.

Belongs here: the page of `governed_documents`. Does not belong here: any judgement. People appear nowhere: consents by their
ids, approvals by theirs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import head, per_source, put_funnel, quarantine_section
from ddd_llm.corpus.rights.consents import State
from ddd_llm.corpus.rights.licences import Verdict
from ddd_llm.corpus.rights.permissions import CURES, Permissions
from ddd_llm.corpus.rights.provenance import FIELDS, STANDARDS_VERSION
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.report import Page
from ddd_llm.platform.step import Step
from ddd_llm.store.records import REPORT

SHOWN = 200
RIGHTS_FILE = REPORT + "rights.json"


def report_governed(step: Step, raw: pa.Table, kept: pa.Table, quarantine: pa.Table, permissions: Permissions) -> None:
    """Summary and page of one batch's governance, and `rights.json` beside it with every decision in full."""
    reasons = counts(quarantine["reason"])
    put_funnel(step, "governed_documents", len(raw), len(kept), reasons)
    replaced = pc.sum(kept["identifiers"]).as_py() or 0  # type: ignore[attr-defined]
    states = Counter(consent.state(permissions.as_of) for consent in permissions.register.consents)
    step.summary |= {
        "identifiers_replaced": replaced,
        "sources_held_back": sorted(set(quarantine["source"].to_pylist())),
        "as_of": permissions.as_of.isoformat() if permissions.as_of else None,
        "consents_by_state": {state.value: states[state] for state in State if states[state]},
        "licences_by_verdict": dict(Counter(d.verdict.name.lower() for d in permissions.licences.values())),
        "sources_without_whole_provenance": _not_whole(permissions),
    }
    page = head(Page("governed_documents", f"Batch {step.partition}: right to use, and pseudonyms"), step)
    page.paragraph(f"{replaced:,} direct identifiers were replaced by keyed pseudonyms.")
    per_source(page, ["kept", "held back"], [kept, quarantine])
    _held_back(page, quarantine)
    _licences(page, permissions)
    _consents(page, permissions, raw)
    _completeness(page, permissions)
    quarantine_section(page, quarantine)
    step.put_report(page.html())
    step.put_json(RIGHTS_FILE, _in_full(permissions))


def _held_back(page: Page, quarantine: pa.Table) -> None:
    page.heading("Held back, and what lets it in")
    if not len(quarantine):
        page.paragraph("Nothing was held back.")
        return
    columns = zip(*(quarantine[name].to_pylist() for name in ("reason", "source", "detail")), strict=True)
    found = sorted(Counter(columns).items(), key=lambda item: (-item[1], item[0]))
    rows = [[source, reason, count, detail, CURES.get(reason, "")] for (reason, source, detail), count in found[:SHOWN]]
    page.table(["source", "reason", "documents", "why", "cure"], rows, caption=_cut(len(rows), len(found)))


def _licences(page: Page, permissions: Permissions) -> None:
    page.heading("Licences")
    page.paragraph("The whole SPDX expression is judged; of alternatives, the first that is best is relied upon.")
    rows = []
    for name, source in sorted(permissions.sources.items()):
        decision = permissions.licences.get(name)
        if decision is None:
            rows.append([name, "none named", "held back", "", "", source.licence_evidence or ""])
            continue
        chosen = " AND ".join(decision.chosen) if decision.verdict is Verdict.ALLOWED else ""
        why = ", ".join((*decision.open, *(f"approval {one}" for one in decision.approvals)))
        rows.append([name, source.licence, decision.verdict.name.lower(), chosen, why, source.licence_evidence or ""])
    page.table(["source", "expression", "decision", "relied upon", "open, or approved by", "evidence"], rows)


def _consents(page: Page, permissions: Permissions, raw: pa.Table) -> None:
    page.heading("Consents")
    as_of = permissions.as_of
    page.paragraph(
        f"As of {as_of}, the last day on which any consent or approval changed state."
        if as_of
        else "No consent or approval has changed state yet."
    )
    if not permissions.register.consents:
        page.paragraph("The register is empty.")
        return
    places = zip(raw["source"].to_pylist(), raw["locator"].to_pylist(), strict=True)
    covered = Counter(consent.id for place in places for consent in permissions.consents_over(*place))
    rows = [
        [
            c.id,
            c.state(as_of).value.replace("_", " "),
            ", ".join(f"{n} (no such source)" if n not in permissions.sources else n for n in c.sources),
            ", ".join(sorted(c.purposes)),
            str(c.given_on),
            str(c.expires_on or ""),
            str(c.withdrawn_on or ""),
            covered[c.id],
        ]
        for c in sorted(permissions.register.consents, key=lambda c: (c.state(as_of) is State.LIVE, c.id))
    ]
    columns = ["consent", "state", "sources", "purposes", "given", "expires", "withdrawn", "documents of this batch"]
    page.table(columns, rows[:SHOWN], caption=_cut(len(rows[:SHOWN]), len(rows)))


def _completeness(page: Page, permissions: Permissions) -> None:
    page.heading("Provenance records")
    page.paragraph(
        f"The {len(FIELDS)} fields of the Data Provenance Standards {STANDARDS_VERSION} (Data & Trust Alliance): how many "
        "each source states, how many follow from the rest of its record, and which are open. An open mandatory field "
        "holds the documents back."
    )
    mandatory = permissions.policy.provenance.mandatory
    rows = []
    for name, record, lacking in _provenance(permissions):
        how = Counter(known.how for known in record.values())
        optional = [field for field, known in record.items() if known.how == "absent" and field not in mandatory]
        rows.append([name, how["stated"], how["derived"], ", ".join(lacking) or "none", ", ".join(optional)])
    page.table(["source", "stated", "derived", "open and mandatory", "open"], rows)


def _records(permissions: Permissions) -> list[tuple[tuple[str, tuple[int, ...]], dict[str, Any]]]:
    """The provenance records that this batch's documents have, and those of sources without a document in it, sorted."""
    for name in permissions.sources.keys() - {source for source, _ in permissions.records()}:
        permissions.provenance(name)
    return sorted(permissions.records().items(), key=lambda item: item[0])


def _not_whole(permissions: Permissions) -> list[str]:
    """Sources of which some documents lack a mandatory field."""
    return sorted({name for (name, _), record in _records(permissions) if permissions.lacking(record)})


def _provenance(permissions: Permissions) -> list[tuple[str, dict[str, Any], list[str]]]:
    """(source and number of its `documents` entries, record, mandatory fields it lacks), sorted."""
    found = []
    for (name, entries), record in _records(permissions):
        label = name + "".join(f", documents entry {number + 1}" for number in entries)
        found.append((label, record, permissions.lacking(record)))
    return found


def _in_full(permissions: Permissions) -> dict[str, Any]:
    as_of = permissions.as_of
    return {
        "as_of": as_of.isoformat() if as_of else None,
        "licences": {
            name: {
                "expression": permissions.sources[name].licence,
                "evidence": permissions.sources[name].licence_evidence,
                "decision": decision.verdict.name.lower(),
                "relied_upon": list(decision.chosen),
                "open": list(decision.open),
                "approvals": list(decision.approvals),
            }
            for name, decision in sorted(permissions.licences.items())
        },
        "consents": {c.id: c.state(as_of).value for c in permissions.register.consents},
        "provenance": {
            label: {
                field: {"value": known.value, "how": known.how, "note": known.note} for field, known in record.items()
            }
            for label, record, _ in _provenance(permissions)
        },
    }


def _cut(shown: int, there: int) -> str:
    return "" if shown == there else f"the first {shown} of {there:,}"
