"""`ddd-llm annotate`: hand items to people, take labels back, and say how far the work is. Loads no Dagster.

Belongs here: what a person types and what is answered. Does not: the forms of files (`records`, `label_studio`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ddd_llm.feedback.guidelines import FOLDER, Guideline, load_versions, state_of
from ddd_llm.feedback.label_studio import to_tasks
from ddd_llm.feedback.label_studio_interface import interface
from ddd_llm.feedback.labels import Item, Label, SpansValue
from ddd_llm.feedback.preferences.policy import alignment_plan
from ddd_llm.feedback.qa_feedback import GUIDELINE, label_of, read_records, record_of, write_records
from ddd_llm.feedback.reading import Feedback, feedback_files, folders, read_feedback
from ddd_llm.feedback.records import line_of
from ddd_llm.feedback.rights import rights_now
from ddd_llm.instructions.prompts import stable_hash
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Held, Session

annotate = typer.Typer(no_args_is_help=True, help="Items for people, their labels, and how far the work is.")
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
SUFFIXES = (".jsonl", ".json")


def _read(settings: Settings) -> tuple[Feedback, dict[tuple[str, int], Guideline]]:
    versions = load_versions(settings.assets / FOLDER)
    return read_feedback(feedback_files(folders(settings)), versions, rights_now(settings)), versions


def _current(versions: dict[tuple[str, int], Guideline]) -> dict[str, Guideline]:
    return {name: guideline for (name, _), guideline in sorted(versions.items())}


@annotate.command()
def status(json_: Json = False) -> None:
    """Items, labels, stale labels and quarantine, by guideline and annotator."""
    found, versions = _read(load_settings())
    states = {label.id: state_of(label, versions)[0] for label in found.labels}
    rows = [
        {
            "guideline": name,
            "version": guideline.version,
            "items": sum(item.guideline == name for item in found.items.values()),
            "labels": sum(label.guideline == name for label in found.labels),
            "stale": sum(label.guideline == name and states[label.id] != "current" for label in found.labels),
            "items_with_two": _with_two(found.labels, name),
        }
        for name, guideline in _current(versions).items()
    ]
    people = Counter((label.annotator, label.guideline, label.origin) for label in found.labels)
    by_person = [
        {"annotator": who, "guideline": name, "origin": origin, "labels": count}
        for (who, name, origin), count in sorted(people.items())
    ]
    reasons = dict(sorted(Counter(reason for _, _, reason, _ in found.quarantine).items()))
    if json_:
        print(json.dumps({"guidelines": rows, "annotators": by_person, "quarantined": reasons}))
        return
    for table in (rows, by_person):
        _print(table)
    print(f"quarantined: {', '.join(f'{n} {reason}' for reason, n in reasons.items()) or 'nothing'}")


def _with_two(labels: Iterable[Label], name: str) -> int:
    counts = Counter(label.item_id for label in labels if label.guideline == name)
    return sum(count >= 2 for count in counts.values())


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("(none)\n")
        return
    names = list(rows[0])
    cells = [names, *[[_plain(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    print("\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells) + "\n")


def _plain(value: Any) -> str:
    """A cell without control characters: names come from files and may hold terminal escapes."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value))


@annotate.command()
def serve(
    guideline: Annotated[str, typer.Option("--guideline", help="Name of the guideline to label by.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=0, max=65535)] = 8788,
) -> None:
    """Open a page on this machine in which people label: keyboard first, without network, saved at each answer.

    Answers go to journals in the installation's folder `annotations`, where the asset `annotations` reads them. Whoever answers
    the gold questions too badly is handed nothing else until more of them are right.
    """
    settings = load_settings()
    found, versions = _read(settings)
    current = _current(versions)
    if guideline not in current:
        raise InputError(f"no guideline {guideline}: there are {', '.join(current) or 'none'}")
    items = [found.items[key] for key in sorted(found.items) if found.items[key].guideline == guideline]

    from ddd_llm.feedback.web import Task
    from ddd_llm.feedback.web import serve as open_page

    open_page(Task(current[guideline], tuple(items)), settings.home / "annotations", port, alignment_plan(settings))


@annotate.command()
def export(
    output: Path,
    guideline: Annotated[str, typer.Option("--guideline", help="Name of the guideline whose items to write.")],
    label_studio: Annotated[bool, typer.Option(help="As Label Studio tasks, with the interface beside them.")] = False,
    labels: Annotated[bool, typer.Option(help="Write the labels there are as well.")] = False,
    qa_feedback: Annotated[bool, typer.Option(help="Span labels in the schema of QA-FEEDBACK.")] = False,
    corrected: Annotated[
        bool, typer.Option(help="Settled corrected answers as conversations, for a recipe's own_examples.")
    ] = False,
) -> None:
    """Write items for people: JSON Lines, or Label Studio tasks with a file FILE.xml that holds the labelling interface.

    Of two answers which one stands left is drawn by lot per item.
    """
    settings = load_settings()
    found, versions = _read(settings)
    current = _current(versions)
    if guideline not in current:
        raise InputError(f"no guideline {guideline}: there are {', '.join(current) or 'none'}")
    items = [found.items[key] for key in sorted(found.items) if found.items[key].guideline == guideline]
    given = [label for label in found.labels if labels and label.guideline == guideline]
    if qa_feedback:
        given = [la for la in found.labels if la.guideline == guideline and state_of(la, versions)[0] == "current"]
        told = [record_of(found.items[la.item_id], la.value) for la in given if isinstance(la.value, SpansValue)]
        if not told:
            raise InputError(f"the guideline {guideline} has no span labels, and QA-FEEDBACK holds nothing else")
        output.write_text(write_records(told), encoding="utf-8")
    elif corrected:
        lines = _settled_corrections(settings, guideline)
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"{output}: {len(lines)} corrected answers")
        return
    elif label_studio:
        numbers = {name: str(g.version) for name, g in current.items()}
        tasks = to_tasks(
            items, given, numbers, frozenset(item.id for item in items if stable_hash("left", item.id) % 2)
        )
        output.write_text(json.dumps(tasks, ensure_ascii=False, indent=1), encoding="utf-8")
        output.with_suffix(".xml").write_text(interface(current[guideline]), encoding="utf-8")
    else:
        entries: list[Item | Label] = [*items, *given]
        output.write_bytes(b"".join(line_of(entry) for entry in entries))
    print(f"{output}: {len(items)} items, {len(given)} labels")


def _last(settings: Settings, asset: str, name: str) -> tuple[Held | None, bytes]:
    """The last record of an asset and one of its files; None and nothing where it was never materialised."""
    store = open_store(settings.store)
    held = Session.current(store).head(asset)
    return held, b"" if held is None else store.read_bytes(held.record.files[name])


def _settled_corrections(settings: Settings, guideline: str) -> list[str]:
    """As the last `span_feedback` holds them: agreed on or decided, and of the train split."""
    held, lines = _last(settings, "span_feedback", "corrections.jsonl")
    if held is None:
        raise InputError("span_feedback was never materialised, and only settled corrections are trained on")
    found = [
        line for line in lines.decode().splitlines() if json.loads(line)["guideline"].rpartition(" ")[0] == guideline
    ]
    if not found:
        raise InputError(f"the guideline {guideline} has no settled corrected answer to train on")
    return found


@annotate.command("take-samples")
def take_samples(
    machine: Annotated[bool, typer.Option(help="Only the sample by which people accept a machine's batch.")] = False,
) -> None:
    """Hand the supervised model's own answers to annotators: items of the last run, for `serve` and `export`.

    Writes them beside the labels, in the installation's folder `annotations`.
    """
    settings = load_settings()
    asset, name = ("ai_preferences", "to_label.jsonl") if machine else ("sampled_answers", "items.jsonl")
    held, lines = _last(settings, asset, name)
    if held is None or not lines:
        raise InputError(f"{asset} holds no item to label: materialise it first, with answers to sample in the recipe")
    target = settings.home / "annotations" / f"{asset}-{held.digest[:12]}.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(lines)
    part.replace(target)
    print(f"{target}: {len(lines.splitlines())} items")


@annotate.command("import")
def import_(
    file: Path,
    json_: Json = False,
    qa_feedback: Annotated[
        str,
        typer.Option(
            metavar="ANNOTATOR", help="The file has the schema of QA-FEEDBACK; its labels are by this person."
        ),
    ] = "",
) -> None:
    """Take a file of labels (JSON Lines or a Label Studio export) into this installation, once it has been looked at.

    The file is copied as it is; what in it cannot be kept is named here and quarantined by the asset `annotations`. Refused whole
    where nothing in it can be kept.
    """
    settings = load_settings()
    if file.suffix not in SUFFIXES:
        raise InputError(f"{file}: the name must end with {' or '.join(SUFFIXES)}")
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    versions = load_versions(settings.assets / FOLDER)
    if qa_feedback:
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / f"{file.stem}.jsonl"
            lines.write_bytes(_from_qa_feedback(file, qa_feedback, versions))
            _take(settings, lines, versions, json_)
    else:
        _take(settings, file, versions, json_)


def _from_qa_feedback(file: Path, annotator: str, versions: dict[tuple[str, int], Guideline]) -> bytes:
    records, refused = read_records(file.read_text(encoding="utf-8"))
    if refused:
        number, reason = refused[0]
        raise InputError(f"{file}: record {number} is not in the schema of QA-FEEDBACK: {reason} ({len(refused)} such)")
    version = str(_current(versions)[GUIDELINE].version)
    made = [label_of(record, annotator, version) for record in records]
    return b"".join(line_of(entry) for pair in made for entry in pair)


def _take(settings: Settings, file: Path, versions: dict[tuple[str, int], Guideline], json_: bool) -> None:
    before, _ = _read(settings)
    rights = rights_now(settings, importing=file)
    alone = read_feedback([*feedback_files(folders(settings)), file], versions, rights)
    refused = [row for row in alone.quarantine if row not in before.quarantine]
    gained = len(alone.labels) - len(before.labels), len(alone.items) - len(before.items)
    decisions = len(alone.decisions) - len(before.decisions)
    if max(*gained, decisions) <= 0 and not len(alone.superseded) - len(before.superseded):
        first = "; ".join(f"{place}: {reason}" for _, place, reason, _ in refused[:5])
        raise InputError(f"{file}: nothing in it can be kept that is not there already ({first or 'all known'})")
    target = settings.home / "annotations" / file.name
    if target.exists():
        raise InputError(f"{target} is there already: give the file another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target.with_name(f".{target.name}.part"))
    target.with_name(f".{target.name}.part").replace(target)
    said = {"labels": gained[0], "items": gained[1], "decisions": decisions, "refused": len(refused)}
    if json_:
        print(json.dumps(said | {"source": rights.owner(file)} | {"first": [list(row) for row in refused[:20]]}))
        return
    print(f"{target}: {', '.join(f'{n} {name}' for name, n in said.items())}; source {rights.owner(file)}")
    for _, place, reason, detail in refused[:20]:
        print(f"  {place}: {reason}: {detail}")
