"""No row without live permission reaches a training set: random corpora and policies through the whole of the data path.

The oracle below is written against the plain dictionaries that the files would hold, and shares no code with what it tests.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.memory import deduplicate
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.similar import similar_pairs
from ddd_llm.corpus.dedup.state import fold
from ddd_llm.corpus.governance import govern
from ddd_llm.corpus.policies import curation_policy
from ddd_llm.corpus.quality import curate
from ddd_llm.corpus.schemas import RAW
from ddd_llm.corpus.tables import pairs_by_id
from ddd_llm.instructions.build import build_dataset
from ddd_llm.instructions.candidates import CandidateConfig, candidates
from ddd_llm.instructions.recipe import DatasetConfig
from ddd_llm.platform.settings import load_settings
from ddd_llm_tests.corpus.rights.builders import CONSENT, PROVENANCE, EMailMask, permissions, whole

START = date(2026, 1, 1)
LISTS = ("allow", "deny", "review", None)
LICENCES = ["MIT", "Apache-2.0", "MPL-2.0"]
NAMES = ["one", "two", "three"]
MODULES = ["alpha", "beta", "gamma", "delta"]
MASK = EMailMask()
CURATION = curation_policy(load_settings({}))

TEXT = """def {module}.{name}(count, start={start})

Return {name} values from the {module} table, beginning at a given row.

The rows of the {module} table are read one after the other, and those that hold no number are left out of the result.

Parameters
----------
count : int
    How many of the rows are read before the reading ends.
start : int, optional
    The row that is read first. Default is {start}.

Returns
-------
values : list of float
    The numbers found in the {module} table, in the order of their rows.
"""


def day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


# --- the oracle ---------------------------------------------------------------------------------------------------------------


def allowed_licence(expression: str, lists: dict[str, str | None], approved: set[tuple[str, str]], source: str) -> bool:
    def grant(found: re.Match[str]) -> str:
        verdict = lists[found.group()]
        lifted = verdict in ("review", None) and (found.group(), source) in approved
        return str(verdict == "allow" or lifted)

    code = re.sub("|".join(map(re.escape, LICENCES)), grant, expression)
    return bool(eval(code.replace("AND", "and").replace("OR", "or")))


def permitted(source: dict[str, Any], locator: str, world: dict[str, Any]) -> bool:
    if source["licence"] is None or source["licence_evidence"] is None or source["legal_basis"] is None:
        return False
    if not allowed_licence(source["licence"], world["lists"], world["approved"], source["name"]):
        return False
    if "training" not in source["purpose"] or source["provenance"] is None or source["personal_data"] is None:
        return False
    module = locator.partition(":")[0]
    marks = [entry for entry in source["documents"] if module in entry["modules"]]
    if source["tdm_reservation"] or any(entry["tdm_reservation"] for entry in marks):
        return False
    if module in source["disallowed"]:
        return False
    over = [c for c in world["consents"] if source["name"] in c["sources"] and module in c["modules"]]
    today = world["today"]
    training = [c for c in over if "training" in c["purposes"]]
    gone = [c["withdrawn_on"] for c in training if c["withdrawn_on"] is not None and c["withdrawn_on"] <= today]
    live = [
        c
        for c in training
        if c["given_on"] <= today
        and (c["expires_on"] is None or today < c["expires_on"])
        and all(c["given_on"] > ended for ended in gone)
    ]
    if gone and not live:
        return False
    personal = source["personal_data"] or any(entry["personal_data"] for entry in marks)
    needed = source["legal_basis"] == "consent" or (personal and source["legal_basis"] != "contract")
    needed = needed or any(entry["legal_basis"] == "consent" for entry in marks)
    if personal and source["legal_basis"] == "contract" and source["legal_basis_evidence"] is None:
        needed = True
    return bool(live) or not needed


# --- random worlds ------------------------------------------------------------------------------------------------------------

mostly = st.sampled_from([True, True, True, True, False])
some_modules = st.lists(st.sampled_from(MODULES), max_size=2, unique=True)
a_module_or_two = st.lists(st.sampled_from(MODULES), min_size=1, max_size=2, unique=True)


@st.composite
def sources(draw: st.DrawFn, name: str) -> dict[str, Any]:
    marks = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "modules": a_module_or_two,
                    "legal_basis": st.sampled_from([None, "consent"]),
                    "personal_data": st.booleans(),
                    "tdm_reservation": st.sampled_from([False, False, True]),
                }
            ),
            max_size=1,
        )
    )
    expression = st.sampled_from(
        ["MIT", "Apache-2.0", "MPL-2.0", "MIT OR MPL-2.0", "MIT AND (Apache-2.0 OR MPL-2.0)", None]
    )
    return {
        "name": name,
        "licence": draw(expression),
        "licence_evidence": "LICENSE" if draw(mostly) else None,
        "legal_basis": draw(st.sampled_from(["licence", "licence", "own_work", "consent", "contract", None])),
        "legal_basis_evidence": draw(st.sampled_from([None, "contract 7"])),
        "purpose": ["training"] if draw(mostly) else ["evaluation"],
        "provenance": PROVENANCE if draw(mostly) else None,
        "personal_data": draw(st.sampled_from([False, False, False, True, None])),
        "tdm_reservation": not draw(mostly),
        "documents": marks,
        "disallowed": draw(some_modules),
    }


@st.composite
def consents(draw: st.DrawFn) -> dict[str, Any]:
    begin = draw(st.integers(0, 9))
    lasts, until = draw(st.none() | st.integers(0, 9)), draw(st.none() | st.integers(0, 9))
    return {
        "sources": draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)),
        "modules": draw(a_module_or_two),
        "purposes": draw(st.sampled_from([["training"], ["training", "evaluation"], ["evaluation"]])),
        "given_on": day(begin),
        "expires_on": None if lasts is None else day(begin + lasts),
        "withdrawn_on": None if until is None else day(begin + until),
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    change = st.tuples(
        st.sampled_from([*NAMES, "unknown"]),
        st.sampled_from(MODULES),
        st.integers(0, 2),
        st.sampled_from(["add", "add", "add", "update", "delete"]),
        st.integers(0, 3),
    )
    return {
        "lists": {licence: draw(st.sampled_from(["allow", "allow", *LISTS])) for licence in LICENCES},
        "approved": set(draw(st.lists(st.tuples(st.sampled_from(LICENCES), st.sampled_from(NAMES)), max_size=2))),
        "consents": draw(st.lists(consents(), max_size=3)),
        "today": day(draw(st.integers(0, 14))),
        "sources": [draw(sources(name)) for name in NAMES],
        "batches": draw(st.lists(st.lists(change, max_size=12), min_size=1, max_size=2)),
    }


# --- the path -----------------------------------------------------------------------------------------------------------------


def judged(world: dict[str, Any]) -> Any:
    made = []
    for source in world["sources"]:
        rules = "\n".join(f"Disallow: /{module}:" for module in source["disallowed"])
        marks = [
            {**{k: v for k, v in entry.items() if k != "modules"}, "locators": [f"{m}:*" for m in entry["modules"]]}
            for entry in source["documents"]
        ]
        fields = {k: v for k, v in source.items() if k not in ("name", "documents", "disallowed")}
        web = {"url_prefix": "https://example.org/", "robots": [{"text": f"User-agent: GPTBot\n{rules}"}]}
        made.append(whole(source["name"], documents=marks, **web, **fields))
    entries = [
        {**CONSENT, **{k: v for k, v in one.items() if k != "modules"}, "id": f"C-{number}"}
        | {"locators": [f"{module}:*" for module in one["modules"]]}
        for number, one in enumerate(world["consents"])
    ]
    approvals = [
        {
            "id": f"A-{n}",
            "licence": licence,
            "sources": [source],
            "approved_by": "x",
            "approved_on": day(0),
            "evidence": "memo",
        }
        for n, (licence, source) in enumerate(sorted(world["approved"]))
    ]
    lists = {name: [one for one in LICENCES if world["lists"][one] == name] for name in ("allow", "deny", "review")}
    as_of = date.fromisoformat(world["today"])
    return permissions(made, entries, as_of, licences={**lists, "approvals": approvals})


def raw_batch(rows: list[tuple[str, str, int, str, int]]) -> pa.Table:
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for source, module, number, op, start in rows:
        name = f"read{number}"
        text = TEXT.format(name=name, module=module, start=start)
        locator = f"{module}:{name}"
        row = {"id": f"{module}-{number}-{start}", "source": source, "locator": locator, "op": op}
        if op != "delete":
            row |= {"title": locator, "media_type": "text/x-python-docstring", "language": "en", "text": text}
            row |= {"bytes": len(text)}
        made[(source, locator)] = row
    return pa.Table.from_pylist(list(made.values()), schema=RAW)


def through(world: dict[str, Any]) -> tuple[list[pa.Table], pa.Table, pa.Table, pa.Table]:
    """(governed batches, documents kept by dedup, curated documents, dataset)."""
    judge = judged(world)
    raws = [raw_batch(rows) for rows in world["batches"]]
    governed = [govern(raw, judge, MASK)[0] for raw in raws]
    names = [f"batch-{number}" for number in range(len(governed))]
    current = pa.concat_tables(
        [
            table.filter(why.is_null()).append_column("batch", pa.array([name] * why.null_count, pa.string()))
            for name, table, why in zip(names, governed, fold(governed), strict=True)
        ]
    )
    kept = deduplicate(current, DedupPolicy(), names, threads=1).kept
    curated, _ = curate(kept, CURATION)
    pairs = pairs_by_id(similar_pairs(curated["text"], 0.5), curated["id"])
    config = DatasetConfig(train_size=200, package_share=1.0, per_module=200)
    made = candidates(curated, CandidateConfig(closed_book_share=1.0))
    return governed, kept, curated, build_dataset(made.table, curated, pairs, config, batches=names).table


@settings(max_examples=60)
@given(worlds())
def test_no_row_without_live_permission_reaches_a_training_set(world: dict[str, Any]) -> None:
    known = {source["name"]: source for source in world["sources"]}

    def may(row: dict[str, Any]) -> bool:
        return row["source"] in known and permitted(known[row["source"]], row["locator"], world)

    governed, kept, curated, dataset = through(world)
    for rows, table in zip(world["batches"], governed, strict=True):
        brought = [row for row in raw_batch(rows).to_pylist() if row["op"] != "delete"]
        let_in = {(row["source"], row["locator"]) for row in table.to_pylist() if row["op"] != "delete"}
        assert let_in == {(row["source"], row["locator"]) for row in brought if may(row)}
    assert all(may(row) for row in [*kept.to_pylist(), *curated.to_pylist()])
    rightful = {row["id"] for table in governed for row in table.to_pylist() if row["op"] != "delete" and may(row)}
    for example in dataset.to_pylist():
        assert example["source_ids"]
        assert set(example["source_ids"]) <= rightful


def world_of(**changes: Any) -> dict[str, Any]:
    source = {
        "licence": "MIT", "licence_evidence": "LICENSE", "legal_basis": "licence", "legal_basis_evidence": None,
        "purpose": ["training"], "provenance": PROVENANCE, "personal_data": False, "tdm_reservation": False,
        "documents": [], "disallowed": [],
    }  # fmt: skip
    return {
        "lists": dict.fromkeys(LICENCES, "allow"),
        "approved": set(),
        "consents": [],
        "today": day(5),
        "sources": [{"name": name, **source, **changes.get(name, {})} for name in NAMES],
        "batches": [[("one", "alpha", 0, "add", 0), ("two", "beta", 1, "add", 1), ("three", "gamma", 2, "add", 2)]],
    }


def test_with_all_rights_documents_do_reach_the_training_set_and_one_without_does_not() -> None:
    dataset = through(world_of())[3]
    reached = {one for row in dataset.to_pylist() for one in row["source_ids"]}
    assert reached == {"alpha-0-0", "beta-1-1", "gamma-2-2"}
    dataset = through(world_of(two={"licence": None}, three={"legal_basis": "consent"}))[3]
    assert {one for row in dataset.to_pylist() for one in row["source_ids"]} == {"alpha-0-0"}


def test_a_withdrawal_takes_an_old_revision_along() -> None:
    world = world_of()
    world["batches"].append([("one", "alpha", 0, "update", 3)])
    withdrawn = {
        "sources": ["one"], "modules": ["alpha"], "purposes": ["training"], "given_on": day(0), "expires_on": None,
        "withdrawn_on": day(4),
    }  # fmt: skip
    reached = {one for row in through(world)[3].to_pylist() for one in row["source_ids"]}
    assert "alpha-0-3" in reached
    world["consents"] = [withdrawn]
    reached = {one for row in through(world)[3].to_pylist() for one in row["source_ids"]}
    assert reached == {"beta-1-1", "gamma-2-2"}
