"""No line of feedback without live permission reaches a training set: random sources, policies and consents.

The oracle is written against the plain dictionaries that the files hold.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as setting
from hypothesis import strategies as st

from ddd_llm.corpus.policies import rights_policy
from ddd_llm.corpus.rights.licences import Verdict
from ddd_llm.feedback.adjudication import AdjudicationPolicy, adjudicate
from ddd_llm.feedback.preferences.adversarial import SafetyGap, SafetyGaps, from_red_team
from ddd_llm.feedback.preferences.pairs import from_people
from ddd_llm.feedback.reading import Feedback, feedback_files, folders, read_feedback
from ddd_llm.feedback.records import line_of
from ddd_llm.feedback.rights import FileRights, governance_of_feedback, governors_of_feedback, rights_now
from ddd_llm.feedback.span_feedback import from_people as spans_from_people
from ddd_llm.feedback.splits import Splits
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import CHECKOUT, Settings, load_settings
from ddd_llm_tests.feedback.samples import VERSIONS, item, label

TODAY = datetime.now(UTC).date()
SPLITS = Splits(0.2)
GAPS = SafetyGaps(gaps=(SafetyGap(id="known", description="d", severity=2),))
FILES = ["assets/annotations/a.jsonl", "assets/annotations/deep/b.jsonl", "home/annotations/c.jsonl"]
RED = "assets/preferences/adversarial.jsonl"
SOURCE: dict[str, Any] = {
    "owner": "us", "licence": "MIT", "licence_evidence": "memo", "legal_basis": "own_work", "purpose": ["training"],
    "collected": "2026-01-01", "personal_data": False,
    "provenance": {
        "description": "labels", "origin_geography": ["DE"], "method": {"kinds": ["other"], "description": "by hand"},
    },
}  # fmt: skip


@contextmanager
def installation(sources: list[dict[str, Any]], consents: list[dict[str, Any]] | None = None) -> Iterator[Settings]:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        policies = root / "assets" / "policies"
        shutil.copytree(CHECKOUT / "assets" / "policies", policies)
        (policies / "feedback.yaml").write_text(yaml.safe_dump({"version": 1, "sources": sources}))
        (policies / "consents.yaml").write_text(yaml.safe_dump({"version": 1, "consents": consents or []}))
        environ = {"HOME": str(root / "home"), "ASSETS": str(root / "assets"), "KEYS": str(root / "keys")}
        yield load_settings({f"DDD_LLM_{name}": value for name, value in environ.items()})


def path_of(settings: Settings, name: str) -> Path:
    top, _, rest = name.partition("/")
    return (settings.assets if top == "assets" else settings.home) / rest


def fill(settings: Settings, lines: list[tuple[str, int, str]]) -> None:
    """Item and two labels per line; the annotators are named after the place, so that what is trained on tells where from."""
    written: dict[str, int] = {}
    for name, number, kind in lines:
        path = path_of(settings, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        of = item(kind, prompt=f"{name} {number} {kind}")
        begin = written.get(name, 0)
        made = [label(of, f"{name}#line {begin + place}") for place in (2, 3)]
        with path.open("ab") as file:
            file.writelines(map(line_of, (of, *made)))
        written[name] = begin + 3


def read(settings: Settings, rights: FileRights) -> Feedback:
    return read_feedback(feedback_files(folders(settings)), VERSIONS, rights)


def trained_on(found: Feedback) -> set[str]:
    """Places of labels in preference pairs, and span feedback (from which corrected answers come); one label settles an item."""
    settled = adjudicate(found.labels, [], AdjudicationPolicy(least_labels=1)).settled
    rows: list[dict[str, Any]] = [*from_people(settled, found.items, SPLITS)[0]]
    rows += spans_from_people(settled, found.items, SPLITS)
    return {who for row in rows for who in row["annotators"]}


def allowed(source: dict[str, Any], place: str, consents: list[dict[str, Any]]) -> bool:
    if source["licence"] != "MIT" or source["licence_evidence"] is None or source["legal_basis"] is None:
        return False
    if "training" not in source["purpose"] or source["provenance"] is None or source["personal_data"] is None:
        return False
    over = [
        one
        for one in consents
        if source["name"] in one["sources"] and {place, place.partition("#")[0], "**"} & {*one["locators"]}
    ]
    if any(one["withdrawn_on"] is not None and one["withdrawn_on"] <= TODAY.isoformat() for one in over):
        return False
    live = [one for one in over if one["expires_on"] is None or one["expires_on"] > TODAY.isoformat()]
    return bool(live) or not (source["personal_data"] or source["legal_basis"] == "consent")


mostly = st.sampled_from([True, True, True, True, False])


@st.composite
def sources(draw: st.DrawFn, name: str) -> dict[str, Any]:
    globs = [*FILES, RED, "assets/**", "home/annotations/*.jsonl", "assets/annotations/*.jsonl"]
    return {
        **SOURCE,
        "name": name,
        "files": draw(st.lists(st.sampled_from(globs), min_size=1, max_size=2, unique=True)),
        "licence": draw(st.sampled_from(["MIT", "MIT", "MIT", "CC-BY-NC-4.0", "MPL-2.0", "LicenseRef-x", None])),
        "licence_evidence": "memo" if draw(mostly) else None,
        "legal_basis": draw(st.sampled_from(["own_work", "own_work", "consent", None])),
        "purpose": ["training"] if draw(mostly) else ["evaluation"],
        "provenance": SOURCE["provenance"] if draw(mostly) else None,
        "personal_data": draw(st.sampled_from([False, False, False, True, None])),
    }


def speaks(globs: list[str], name: str) -> bool:
    def one(glob: str) -> bool:
        if glob == "assets/**":
            return name.startswith("assets/")
        if "*" in glob:
            return name.startswith(glob.partition("*")[0]) and "/" not in name.removeprefix(glob.partition("*")[0])
        return glob == name

    return any(map(one, globs))


@st.composite
def consents(draw: st.DrawFn, number: int) -> dict[str, Any]:
    later = st.sampled_from([None, None, TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=1)])
    until, gone = draw(later), draw(later)
    return {
        "id": f"C-{number}",
        "sources": ["one"] if draw(mostly) else ["two"],
        "locators": [
            draw(st.sampled_from([*FILES, f"{FILES[0]}#line 2", f"{FILES[0]}#line 1", f"{RED}#line 1", "**"]))
        ],
        "purposes": ["training"],
        "given_on": "2026-01-01",
        "expires_on": until and until.isoformat(),
        "withdrawn_on": gone and gone.isoformat(),
        "evidence": "form",
    }


@setting(max_examples=60)
@given(st.tuples(sources("one"), sources("two")), st.tuples(consents(1), consents(2)), st.integers(0, 2))
def test_no_line_without_live_permission_is_trained_on(
    declared: tuple[dict[str, Any], ...], register: tuple[dict[str, Any], ...], count: int
) -> None:
    given_ = list(register[:count])
    with installation(list(declared), given_) as settings:
        lines = [(name, number, kind) for name in FILES for number in (1, 2) for kind in ("preference", "spans")]
        fill(settings, lines)
        pair = {"gap": "known", "prompt": "p", "chosen": "a", "rejected": "b", "author": f"{RED}#line 1"}
        red = path_of(settings, RED)
        red.parent.mkdir(parents=True)
        red.write_text(json.dumps(pair))
        rights, _ = governors_of_feedback(settings, governance_of_feedback(settings))
        found = read(settings, rights)
        pairs, refused = from_red_team(red, GAPS, SPLITS, rights)

        def may(place: str) -> bool:
            owner = next((one for one in declared if speaks(one["files"], place.partition("#")[0])), None)
            return owner is not None and allowed(owner, place, given_)

        reached = trained_on(found) | {who for row in pairs for who in row["annotators"]}
        wanted = {f"{RED}#line 1"} if may(f"{RED}#line 1") else set()
        for name in FILES:
            for first in range(1, 13, 3):
                shown = may(f"{name}#line {first}")
                wanted |= {p for n in (1, 2) if shown and may(p := f"{name}#line {first + n}")}
        assert reached == wanted
        assert len(pairs) + len(refused) == 1
        assert sum(rights.counts.values()) == 3 * len(lines) + 1
        held_back = sum(count for (_, reason), count in rights.counts.items() if reason is not None)
        unknown = sum(reason == "unknown_item" for _, _, reason, _ in found.quarantine)
        assert held_back + unknown == len(found.quarantine) + len(refused)


def test_a_file_that_nobody_speaks_for_is_held_back_with_the_cure() -> None:
    with installation([{**SOURCE, "name": "ours", "files": ["home/annotations/**"]}]) as settings:
        fill(settings, [(FILES[0], 1, "choice"), (FILES[2], 1, "choice")])
        rights = rights_now(settings)
        found = read(settings, rights)
        assert [label.annotator for label in found.labels] == [f"{FILES[2]}#line 2", f"{FILES[2]}#line 3"]
        assert {reason for _, _, reason, _ in found.quarantine} == {"no_feedback_source"}
        assert "policies/feedback.yaml" in found.quarantine[0][3]
        assert rights.table() == [["ours", "us", "MIT", "own_work", 3, 0], ["(none)", "–", "–", "–", 0, 3]]


def test_a_withdrawal_of_one_line_takes_it_alone() -> None:
    consent = {
        "id": "C-1", "sources": ["ours"], "locators": [f"{FILES[0]}#line 2"], "purposes": ["training"],
        "given_on": "2026-01-01", "withdrawn_on": "2026-02-01", "evidence": "form",
    }  # fmt: skip
    with installation([{**SOURCE, "name": "ours", "files": ["assets/**"]}], [consent]) as settings:
        fill(settings, [(FILES[0], 1, "choice")])
        found = read(settings, rights_now(settings))
        assert [label.annotator for label in found.labels] == [f"{FILES[0]}#line 3"]
        assert [reason for _, _, reason, _ in found.quarantine] == ["consent_withdrawn"]


def test_what_decides_is_part_of_the_record_and_must_not_change_meanwhile() -> None:
    source = {**SOURCE, "name": "ours", "files": ["assets/**"]}
    with installation([source]) as settings:
        config = governance_of_feedback(settings)
        file = settings.assets / "policies" / "feedback.yaml"
        file.write_text(file.read_text().replace("MIT", "Apache-2.0"))
        assert governance_of_feedback(settings) != config
        with pytest.raises(InputError, match="sources: changed while the run began"):
            governors_of_feedback(settings, config)


@pytest.mark.parametrize(
    ("sources_", "says"),
    [
        ([{**SOURCE, "name": "a", "files": ["x"]}] * 2, "two sources share the name a"),
        ([{**SOURCE, "name": "a", "files": []}], "files"),
        ([{**SOURCE, "name": "a"}], "files"),
        ([{**SOURCE, "name": "a", "files": ["/x"]}], "a glob over locators"),
    ],
)
def test_bad_declarations_are_named(sources_: list[dict[str, Any]], says: str) -> None:
    with installation(sources_) as settings, pytest.raises(InputError, match=says):
        rights_now(settings)


def test_the_shipped_declarations_cover_what_is_shipped() -> None:
    settings = load_settings({})
    rights = rights_now(settings)
    shipped = [settings.assets / "annotations" / "demo.jsonl", settings.assets / RED.removeprefix("assets/")]
    assert [rights.against(file, "line 1") for file in (*shipped, settings.home / "annotations" / "ada.jsonl")] == [
        None
    ] * 3
    assert rights.against(settings.assets / "annotations" / "other.jsonl", "line 1") is not None
    elsewhere = Path("/elsewhere/tasks.json")
    assert rights.against(elsewhere, "task") is not None
    assert rights_now(settings, importing=elsewhere).against(elsewhere, "task") is None
    verdict = (
        rights_policy(settings).licences.decide("LicenseRef-Own-Feedback", "own-annotators", date(2026, 12, 1)).verdict
    )
    assert verdict is Verdict.ALLOWED


def test_a_link_and_a_name_that_parts_a_locator_are_nobody_s() -> None:
    with installation(
        [{**SOURCE, "name": "ours", "files": ["home/annotations/**", "assets/annotations/a.jsonl"]}]
    ) as settings:
        fill(settings, [(FILES[2], 1, "choice")])
        link = settings.assets / "annotations" / "linked.jsonl"
        link.parent.mkdir(parents=True)
        link.symlink_to(path_of(settings, FILES[2]))
        rights = rights_now(settings)
        assert rights.against(link, "line 1") is not None
        for name in ("a.jsonl#b.jsonl", "a.jsonl!b.jsonl"):
            assert rights.against(settings.assets / "annotations" / name, "line 1") is not None
        assert rights.against(settings.assets / "annotations" / "a.jsonl", "line 1") is None
