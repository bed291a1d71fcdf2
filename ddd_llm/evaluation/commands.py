"""`ddd-llm red-team`: attacks found on a model in use become tests of every later one. Loads no Dagster.

Belongs here: what a person types and what is answered. Does not: what an attack is (`red_team`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ddd_llm.evaluation.red_team import AttackError, add_found, declared, read_attacks, suites
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import load_settings
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Session

red_team = typer.Typer(no_args_is_help=True, help="Attacks on the model: those that work, and new ones.")


@red_team.command()
def add(
    file: Annotated[Path, typer.Argument(help="JSON Lines in the form of assets/preferences/attacks.jsonl.")],
) -> None:
    """Add attacks that were found on a model in use; `red_team_report` asks them from now on, and they must not work again."""
    settings = load_settings()
    gaps = [gap.id for gap in declared(settings)]
    try:
        given = read_attacks([file], gaps)
        new = add_found(given, settings)
        suite = read_attacks(suites(settings), gaps)
    except (AttackError, OSError) as error:
        raise InputError(str(error)) from error
    print(f"{new} of {len(given)} attacks are new; the suite has {len(suite)}")


@red_team.command()
def failures(json_: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False) -> None:
    """Attacks that work, by model, as the latest `red_team_report` found them; exit status 1 if there are any."""
    settings = load_settings()
    store = open_store(settings.store)
    held = Session.current(store).head("red_team_report")
    if held is None:
        raise InputError("there is no red_team_report yet: materialise it first")
    rows = [row for row in store.read_table(held.record.tables["outcomes"]).to_pylist() if row["worked"]]
    if json_:
        print(json.dumps({"record": held.digest, "failures": rows}, ensure_ascii=False))
    else:
        for row in rows:
            print(f"{row['model']:<12} {row['gap']:<22} {row['attack'][:12]}  {row['answer'][:80]!r}")
        print(f"{len(rows)} answers of {len({row['model'] for row in rows})} models are unsafe")
    raise typer.Exit(1 if rows else 0)
