"""What a recipe refuses, and that the demo's recipe is none of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ddd_llm.training.recipe import BaseModelSpec, SftRecipe

DEMO = Path(__file__).parents[2] / "assets" / "recipes" / "demo.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_demo_recipe_is_valid_and_pins_the_embedded_model() -> None:
    demo = yaml.safe_load(DEMO.read_text())
    assert SftRecipe.model_validate(demo["sft"]).lora == SftRecipe().lora
    assert BaseModelSpec.model_validate(demo["base_model"]) == BaseModelSpec.model_validate({})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"dtype": "fp16"}, "dtype"),
        ({"epochs": 3}, "epochs"),
        ({"lora": {"target_modules": []}}, "target_modules"),
        ({"lora": {"target_modules": ["lm_head"]}}, "target_modules"),
        ({"steps": 5, "warmup_steps": 5}, "warmup_steps"),
    ],
)
def test_recipe_refuses(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        SftRecipe.model_validate(change)


def test_module_names_have_one_order() -> None:
    def make(names: list[str]) -> SftRecipe:
        return SftRecipe.model_validate({"lora": {"target_modules": names}})

    assert make(["v_proj", "q_proj"]).model_dump_json() == make(["q_proj", "v_proj", "q_proj"]).model_dump_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "hub", "location": "o/n"}, "revision"),
        ({"kind": "hub", "location": "o/n", "revision": "main"}, "revision"),
        ({"kind": "folder", "location": "m", "revision": COMMIT}, "sha256"),
        ({"kind": "package", "location": "p/f.gguf"}, "sha256"),
        ({"sha256": "abc"}, "sha256"),
        ({"licence": "Apache 2"}, "SPDX"),
        ({"licence": ""}, "SPDX"),
    ],
)
def test_base_model_must_be_pinned_and_licensed(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BaseModelSpec.model_validate(change)


def test_hub_model_with_commit() -> None:
    spec = BaseModelSpec.model_validate(
        {"id": "n", "kind": "hub", "location": "o/n", "revision": COMMIT, "licence": "MIT"}
    )
    assert spec.revision == COMMIT
