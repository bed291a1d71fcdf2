"""What is read and drawn beside the training: prompts of others, and coloured answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddd_llm.training.errors import BadData
from ddd_llm.training.rlhf.prompts import read_prompts, toxicity_prompts
from ddd_llm.training.rlhf.trace import coloured
from ddd_llm_tests.training.rlhf.test_rlhf import write
from ddd_llm_tests.training.tiny import tiny_tokenizer


def test_coloured_text_says_its_rewards_and_hides_no_markup() -> None:
    shown = coloured([("<b>good</b>", 1.0), ("bad\n", -0.5), ("rest", 0.0)])
    assert "<b>" not in shown and "+1.00" in shown and "-0.50" in shown and "rest</p>" in shown


def test_prompts_in_the_form_of_real_toxicity_prompts(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        "\n".join(json.dumps({"prompt": {"text": f"So {i} is", "toxicity": 0.1}}) for i in range(40)) + "\n\n"
    )
    found = toxicity_prompts(file)
    assert len(found) == 40 and {row["split"] for row in found} == {"train", "validation"}
    prompts = read_prompts(write(tmp_path / "p.parquet", found), tiny_tokenizer(), 96, 100)
    assert str(prompts.train[0].prompt).startswith("So ") and len(prompts.train) + len(prompts.held_out) == 40
    file.write_text('{"prompt": {"text": "ok"}}\n{"prompt": "no"}\n')
    with pytest.raises(BadData, match=r"prompts\.jsonl:2"):
        toxicity_prompts(file)
