"""`ddd-llm`: what auditors and operators ask from a shell. Works from the store alone; loads no Dagster.

Exit status: 0 clean, 1 a finding, 2 wrong use. Materialising stays with Dagster's own command line and UI.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ddd_llm.evaluation.commands import red_team
from ddd_llm.feedback.commands import annotate
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Lineage answers and care of the store.")
audit = typer.Typer(no_args_is_help=True, help="Where a model version came from, and whether every byte still says so.")
stores = typer.Typer(no_args_is_help=True, help="Care of the artifact store.")
plans = typer.Typer(help="Plans that must be approved before anything is trained.")
app.add_typer(audit, name="audit")
app.add_typer(stores, name="store")
app.add_typer(plans, name="plans")
app.add_typer(annotate, name="annotate")
app.add_typer(red_team, name="red-team")

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="Folder that holds the store (default: DDD_LLM_HOME or .ddd_llm).")
]


class WrongUseError(Exception):
    """A question that cannot be asked: exit status 2."""


def _open(home: Path | None) -> tuple[Any, Settings]:
    from ddd_llm.store.artifact_store import open_store

    environ = dict(os.environ)
    if home is not None:
        environ["DDD_LLM_HOME"] = str(home)
        environ.pop("DDD_LLM_STORE", None)
    settings = load_settings(environ)
    if "://" not in settings.store and not (Path(settings.store) / "records").is_dir():
        raise WrongUseError(f"no store at {settings.store}: name its folder with --home, or run `make demo` first")
    return open_store(settings.store), settings


def _answer(value: Any, as_json: bool, text: Callable[[], str]) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=None if as_json else 2) if as_json else text())


def _table(rows: list[dict[str, Any]], names: list[str]) -> str:
    if not rows:
        return "(none)"
    cells = [[_plain(row.get(name)) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _plain(value: Any) -> str:
    """A cell without control characters: names come from documents and may hold terminal escapes."""
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


@audit.command("list")
def list_versions(json_: Json = False, home: Home = None) -> None:
    """Registered model versions, oldest first."""
    from ddd_llm.platform.versions import registrations, versions

    store, _ = _open(home)
    rows = [version.as_dict() for version in versions(store)]
    problems = registrations(store)[1]
    _answer(
        {"versions": rows},
        json_,
        lambda: _table(rows, ["name", "version", "alias", "created", "record", "model_digest"]),
    )
    if problems:
        print(f"ddd-llm: the list may be incomplete: {problems[0]}", file=sys.stderr)
        raise typer.Exit(1)


@audit.command()
def trace(
    version: Annotated[str, typer.Argument(help="NAME/VERSION, NAME@champion, or the digest of a record.")],
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page with the drawn lineage.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Everything a model version rests on, every digest verified on the way."""
    from ddd_llm.audit.trace import trace as walk
    from ddd_llm.platform.versions import find, registrations

    store, _ = _open(home)
    found = find(store, version)
    digests = set(store.record_digests())
    root = found.record if found else version if version in digests else None
    if root is None:
        raise WrongUseError(
            f"no model version {version} in {store.backend.uri}: `ddd-llm audit list` shows what there is"
        )
    result = walk(store, root)
    result.problems.extend(registrations(store)[1])
    if html is not None:
        from ddd_llm.audit.page import lineage_page

        html.write_bytes(lineage_page(version, result))

    def text() -> str:
        rows = [{**n, "partition": n["partition"] or "", "record": n["record"][:12]} for n in result.nodes]
        said = ["", *result.problems] if result.problems else []
        verdict = "verified: every digest fits" if result.verified else f"NOT VERIFIED: {result.problems[0]}"
        where = f"\nlineage drawn in {html}" if html is not None else ""
        return "\n".join([_table(rows, ["asset", "partition", "rows", "record", "finished"]), *said, verdict]) + where

    _answer(result.as_dict(), json_, text)
    if not result.verified:
        raise typer.Exit(1)


@audit.command()
def verify(json_: Json = False, home: Home = None) -> None:
    """Check every object, record, attestation and head of the store."""
    from dataclasses import asdict

    from ddd_llm.store.verify import verify as check

    store, _ = _open(home)
    found = check(store, lambda n: print(f"checked {n:,} so far", file=sys.stderr))

    def text() -> str:
        lines = [f"{kind}: {key}" for kind in ("corrupt", "missing", "erased") for key in getattr(found, kind)]
        return "\n".join([*lines, f"{found.checked:,} checked, {'all well' if found.clean else 'NOT WELL'}"])

    _answer(asdict(found), json_, text)
    if not found.clean:
        raise typer.Exit(1)


@audit.command()
def documents(
    grep: Annotated[
        str, typer.Option("--grep", help="Text to look for in documents, titles and locators (case ignored).")
    ],
    json_: Json = False,
    home: Home = None,
) -> None:
    """Ids of the documents that hold a text. The text itself is not printed."""
    from ddd_llm.audit.impact import documents as search

    if not grep:
        raise WrongUseError("--grep needs a text to look for")
    store, _ = _open(home)
    rows = search(store, grep)
    _answer({"documents": rows}, json_, lambda: _table(rows, ["id", "source", "locator", "op", "batch"]))


@audit.command()
def impact(document_id: str, json_: Json = False, home: Home = None) -> None:
    """What a document reached: near-duplicates, instruction pairs, model versions."""
    from ddd_llm.audit.impact import impact as follow

    store, _ = _open(home)
    result = follow(store, document_id)
    if result is None:
        raise WrongUseError(f"no document {document_id}: `ddd-llm audit documents --grep TEXT` finds ids")

    def text() -> str:
        parts = [
            ("documents", ["id", "source", "locator", "op", "batch"]),
            ("near_duplicates", ["id", "jaccard", "kept"]),
            ("examples", ["id", "split", "trained_on", "answered_in_rlhf"]),
            ("feedback", ["asset", "id", "split", "trained"]),
            ("model_versions", ["name", "version", "alias", "examples"]),
        ]
        return "\n\n".join(f"{name.replace('_', ' ')}:\n{_table(result[name], columns)}" for name, columns in parts)

    _answer(result, json_, text)


@audit.command()
def annotator(name: str, json_: Json = False, home: Home = None) -> None:
    """What a person's labels reached: feedback rows, reward models, aligned models."""
    from ddd_llm.audit.impact import annotator as follow

    store, _ = _open(home)
    result = follow(store, name)
    if result is None:
        raise WrongUseError(f"nobody named {name} labelled anything: `ddd-llm annotate status` lists the names")

    def text() -> str:
        said = (
            f"{result['labels']} labels; models trained on feedback from them: {', '.join(result['models']) or 'none'}"
        )
        return f"{said}\n\n{_table(result['feedback'], ['asset', 'id', 'split'])}"

    _answer(result, json_, text)


@stores.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    min_age_hours: Annotated[float, typer.Option(help="Keep whatever is younger.", min=0)] = 24,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Remove what neither heads, registered versions, leases nor live runs reach."""
    from dataclasses import asdict

    from ddd_llm.store.gc import collect

    store, _ = _open(home)
    done = asdict(collect(store, min_age_hours * 3600, dry_run))
    word = "would remove" if dry_run else "removed"
    _answer(done, json_, lambda: f"{word}: " + ", ".join(f"{value:,} {name}" for name, value in done.items()))


def _survey() -> list[Any]:
    from datetime import date

    import ddd_llm.corpus.plans
    import ddd_llm.evaluation.plans
    import ddd_llm.feedback.plans
    import ddd_llm.instructions.plans  # noqa: F401
    from ddd_llm.platform.readiness import survey

    return survey(load_settings(), date.today())


@plans.callback(invoke_without_command=True)
def list_plans(context: typer.Context, json_: Json = False) -> None:
    """Which plans a training asks for, and whether each is approved as it stands. Exit status 1 when one is not."""
    if context.invoked_subcommand is not None:
        return
    rows = [row.as_dict() for row in _survey()]
    for row in rows:
        row["state"] = row["objection"] or "approved"
    _answer({"plans": rows}, json_, lambda: _table(rows, ["plan", "file", "version", "approved_by", "state"]))
    if any(row["objection"] for row in rows):
        raise typer.Exit(1)


@plans.command("approve")
def approve_plan(
    file: Path, by: Annotated[str, typer.Option("--by", help="Name of the person who answers for it.")]
) -> None:
    """Approve a plan as it stands now: writes name, date, version and digest into its file."""
    from datetime import date

    from ddd_llm.platform.approvals import approve

    known = {Path(row.file).resolve(): row for row in _survey() if row.digest}
    row = known.get(file.resolve())
    if row is None:
        raise WrongUseError(f"{file} is none of the plans: `ddd-llm plans` lists them")
    try:
        approve(file, row.version, row.digest, by, date.today())
    except ValueError as error:
        raise WrongUseError(str(error)) from None
    print(f"{file}: version {row.version} approved by {by} ({row.digest})")


@app.command()
def doctor(json_: Json = False) -> None:
    """Check settings, input files, keys and store, and say what to mend."""
    from ddd_llm.automation.doctor import examine

    rows = examine(load_settings())
    _answer({"checks": rows}, json_, lambda: _table(rows, ["check", "ok", "said"]))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: turns refusals into a sentence and an exit status."""
    from ddd_llm.store.errors import StoreError

    try:
        app()
    except (WrongUseError, InputError) as error:
        print(f"ddd-llm: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except StoreError as error:
        print(f"ddd-llm: {error}", file=sys.stderr)
        raise SystemExit(1) from None
