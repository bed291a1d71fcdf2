"""Reading sources, and the delta between two readings."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.identity import doc_id
from ddd_llm.corpus.ingest import Known, delta, fold, read_source, stated, unread_sources
from ddd_llm.corpus.scan import scan
from ddd_llm.corpus.schemas import CURRENT, QUARANTINE, RAW
from ddd_llm_tests.corpus.helpers import KEY, folder_source, package_source, read_folder, reasons

HERE = Path(__file__).parent
States = dict[tuple[str, str], str]
states = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "\u00e9"]), st.text(st.sampled_from("xy\u00e9\U0001f600#"), max_size=2)),
    st.sampled_from(["1", "2", "3"]),
    max_size=8,
)


def table(state: States) -> pa.Table:
    rows = [
        {"id": identity, "source": source, "locator": locator, "text": f"text {identity}", "bytes": 6, "title": "t"}
        for (source, locator), identity in state.items()
    ]
    return pa.Table.from_pylist(rows, schema=CURRENT)


@given(st.lists(states, min_size=1, max_size=6))
def test_folding_the_deltas_gives_the_current_state(sequence: list[States]) -> None:
    state: States = {}
    for current in sequence:
        batch = delta(state, table(current))
        assert batch.schema.equals(RAW)
        state = fold(state, batch)
        assert state == current
        assert delta(state, table(current)).num_rows == 0


@given(states, states)
def test_a_delta_says_only_what_changed_in_a_fixed_order(before: States, after: States) -> None:
    batch = delta(before, table(after))
    assert batch.equals(delta(dict(reversed(before.items())), table(dict(reversed(after.items())))))
    places = list(zip(batch["source"].to_pylist(), batch["locator"].to_pylist(), strict=True))
    assert places == sorted(set(places))
    expected = {
        **dict.fromkeys(after.keys() - before.keys(), "add"),
        **dict.fromkeys(before.keys() - after.keys(), "delete"),
        **{place: "update" for place in after.keys() & before.keys() if after[place] != before[place]},
    }
    assert dict(zip(places, batch["op"].to_pylist(), strict=True)) == expected
    for place, row in zip(places, batch.to_pylist(), strict=True):
        gone = row["op"] == "delete"
        assert row["id"] == (before[place] if gone else after[place])
        assert (row["text"] is None) == gone


@given(states, states)
def test_places_that_are_named_as_unchanged_are_as_good_as_their_rows(before: States, after: States) -> None:
    same = {place for place, identity in after.items() if before.get(place) == identity}
    rest = {place: identity for place, identity in after.items() if place not in same}
    assert delta(before, table(rest), unchanged=same).equals(delta(before, table(after)))


@given(states, states, st.sets(st.sampled_from(["a", "b"])))
def test_what_an_unread_source_held_stays(before: States, after: States, unread: set[str]) -> None:
    after = {place: identity for place, identity in after.items() if place[0] not in unread}
    state = fold(before, delta(before, table(after), unread))
    assert state == {**after, **{place: identity for place, identity in before.items() if place[0] in unread}}


def test_two_documents_at_one_place_and_odd_operations_are_errors() -> None:
    twice = pa.concat_tables([table({("a", "x"): "1"})] * 2)
    with pytest.raises(ValueError, match="share one source and locator"):
        delta({}, twice)
    batch = delta({}, table({("a", "x"): "1"}))
    wrong = batch.set_column(RAW.get_field_index("op"), RAW.field("op"), pa.array(["merge"]))
    with pytest.raises(ValueError, match="merge"):
        fold({}, wrong)


def test_documents_are_normal_sorted_and_keyed(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("cafe\u0301\r\nText in words of the English language.\r\n\r\n".encode())
    (tmp_path / "a.md").write_text("# One\n")
    said: list[int] = []
    documents, held_back, *_ = read_source(folder_source(), tmp_path, KEY, said.append)
    assert documents.schema.equals(CURRENT)
    assert held_back.schema.equals(QUARANTINE)
    text = "caf\u00e9\nText in words of the English language."
    assert documents.to_pylist() == [
        {
            "id": doc_id(KEY, "# One"),
            "source": "notes",
            "locator": "a.md",
            "title": "One",
            "media_type": "text/markdown",
            "language": "und",
            "date": None,
            "quality": None,
            "text": "# One",
            "bytes": 5,
        },
        {
            "id": doc_id(KEY, text),
            "source": "notes",
            "locator": "b.txt",
            "title": "b.txt",
            "media_type": "text/plain",
            "language": "en",
            "date": None,
            "quality": None,
            "text": text,
            "bytes": len(text.encode()),
        },
    ]
    assert said == [2]


def test_reading_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    first, second = read_folder(tmp_path), read_folder(tmp_path)
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])


@settings(max_examples=15)
@given(good=st.lists(st.booleans(), max_size=12), cut=st.booleans())
def test_every_record_is_kept_or_refused(tmp_path_factory: pytest.TempPathFactory, good: list[bool], cut: bool) -> None:
    root = tmp_path_factory.mktemp("records")
    lines = [f'{{"text": "text {number}"}}' if fine else "{oops" for number, fine in enumerate(good)]
    (root / "a.jsonl").write_text("".join(f"{line}\n" for line in lines) + ('{"text": "cut' if cut else ""))
    documents, held_back = read_folder(root)
    if cut or not good:
        assert (documents.num_rows, held_back.num_rows) == (0, 1)
    else:
        assert documents.num_rows == sum(good)
        assert documents.num_rows + held_back.num_rows == len(good)


def test_scan_follows_content_names_and_reading_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "skip.bin").write_text("x")
    source = folder_source(include=["**/*.txt"])
    before = scan(source, tmp_path)
    (tmp_path / "skip.bin").write_text("y")
    (tmp_path / "a.txt").touch()
    assert scan(folder_source(include=["**/*.txt"], owner="Another"), tmp_path) == before
    seen = {before, scan(folder_source(include=["**/*"]), tmp_path)}
    settings_of_reading = {"text_field": "a", "id_field": "b", "title_field": "c", "date_field": "d", "quality_field": "e",
                           "html": "all"}  # fmt: skip
    for name, value in settings_of_reading.items():
        seen.add(scan(folder_source(include=["**/*.txt"], **{name: value}), tmp_path))
    (tmp_path / "a.txt").write_text("two")
    seen.add(scan(source, tmp_path))
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    seen.add(scan(source, tmp_path))
    (tmp_path / "b.txt").unlink()
    seen.add(scan(source, tmp_path))
    seen.add(scan(source, tmp_path / "gone"))
    assert len(seen) == 12


def test_scan_of_a_package_follows_its_version_and_roots() -> None:
    real = {"package": "pyparsing", "modules": ["pyparsing"], "version": "1"}
    seen = {
        scan(package_source(**real), HERE),
        scan(package_source(**{**real, "version": "2"}), HERE),
        scan(package_source(**{**real, "modules": ["pyparsing.core"]}), HERE),
        scan(package_source(**{**real, "exclude": ["pyparsing.core"]}), HERE),
        scan(package_source(**{**real, "package": "no-such-distribution"}), HERE),
    }
    assert len(seen) == 5
    assert scan(package_source(**real), HERE) in seen


def test_sources_that_could_not_be_read_are_named(tmp_path: Path) -> None:
    _, gone, *_ = read_source(folder_source("gone"), tmp_path / "gone", KEY)
    _, wrong, *_ = read_source(package_source("wrong", package="pyparsing", version="0"), HERE, KEY)
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    _, bad, *_ = read_source(folder_source("bad"), tmp_path, KEY)
    assert reasons(bad) == [("bad.txt", "encoding_unknown")]
    assert unread_sources(pa.concat_tables([gone, wrong, bad])) == {"gone", "wrong"}


def test_what_is_known_is_named_and_not_held(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    first = read_source(folder_source(), tmp_path, KEY)
    rows = first.documents.to_pylist()
    known = {row["locator"]: Known(row["id"], stated(row["title"], row["date"], row["quality"])) for row in rows}
    (tmp_path / "3.txt").write_text("other text")
    said: list[int] = []
    second = read_source(folder_source(), tmp_path, KEY, said.append, known=known)
    assert second.documents["locator"].to_pylist() == ["3.txt"]
    assert second.unchanged == {"0.txt", "1.txt", "2.txt", "4.txt"}
    assert said == [5]
