"""TRL's own GRPO as its documentation has it, with one reward of whole answers: `python _plain_grpo.py BASE DATASET SETTINGS`.

Prints one JSON object: seconds inside steps (sampling included) and their number.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import pyarrow.parquet as pq


def main() -> None:
    """Train and tell the time."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    from ddd_llm.training.machine import choose
    from ddd_llm.training.recipe import TrainingRecipe

    base, dataset, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    config: Any = AutoModelForCausalLM.from_pretrained(base).config
    machine = choose(TrainingRecipe(), config, 1)
    half = machine.dtype == "bf16"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if half else torch.float32)
    prompts = []
    for row in pq.read_table(dataset).to_pylist():
        prompt = json.loads(row["messages"])[:-1]
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)[
            "input_ids"
        ]
        if row["split"] == "train" and len(ids) <= settings["max_length"]:
            prompts.append({"prompt": prompt})
    answers = settings["prompts"] * settings["samples"]

    class Clock(TrainerCallback):
        seconds = 0.0
        since = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.since = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.seconds += time.perf_counter() - self.since

    def named(completions: list[Any], **kwargs: Any) -> list[float | None]:
        return [float(completion[0]["content"].count("`")) for completion in completions]

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=named,
            args=GRPOConfig(
                output_dir=folder,
                max_steps=settings["steps"],
                per_device_train_batch_size=settings["batch_size"],
                num_generations=settings["samples"],
                steps_per_generation=answers // settings["batch_size"],
                num_iterations=settings["passes"],
                max_completion_length=settings["max_new_tokens"],
                temperature=settings["temperature"],
                beta=0.05,
                learning_rate=settings["learning_rate"],
                bf16=half,
                gradient_checkpointing=False,
                use_cpu=machine.device == "cpu",
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(prompts),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[clock],
        )
        trainer.train()
    print(json.dumps({"seconds": clock.seconds, "steps": settings["steps"]}))


if __name__ == "__main__":
    main()
