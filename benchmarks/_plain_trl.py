"""Plain TRL fine-tuning with the settings of a recipe: what `lineage.py` compares the worker with.

    python benchmarks/_plain_trl.py --base DIR --dataset FILE.parquet --recipe RECIPE.json

A script as the TRL documentation writes it, honest to both sides: same model folder and number type, same examples,
LoRA, optimizer, schedule, steps, batch size and threads, loss on completions only, no checkpoints. No lineage, no
batch plan, no record of what was trained on. Prints one JSON object: steps, tokens (without padding), steps_wall_s,
tokens_per_s, steps_cpu_s, peak_rss_bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="Plain TRL supervised fine-tuning, timed")
    parser.add_argument("--base", type=Path, required=True, help="model folder")
    parser.add_argument("--dataset", type=Path, required=True, help="Parquet with id, split, messages")
    parser.add_argument(
        "--recipe", type=Path, required=True, help="JSON of an SftRecipe with dtype and attention resolved"
    )
    options = parser.parse_args()
    recipe = json.loads(options.recipe.read_text())

    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(recipe["threads"])
    tokenizer = AutoTokenizer.from_pretrained(options.base, local_files_only=True)
    examples = _examples(options.dataset, tokenizer, recipe["max_length"])
    clock = _clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(options.base, recipe, tokenizer, examples, folder, clock)
        trainer.train()
        tokens = int(trainer.state.log_history[-1].get("num_tokens") or trainer._total_train_tokens)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    measured = {
        "steps": recipe["steps"],
        "tokens": tokens,
        "steps_wall_s": round(clock.wall, 3),
        "steps_cpu_s": round(clock.cpu, 3),
        "tokens_per_s": round(tokens / clock.wall, 1),
        "peak_rss_bytes": peak,
    }
    print(json.dumps(measured))


def _examples(dataset: Path, tokenizer: Any, max_length: int) -> Any:
    """Prompt and completion of each train example that is not too long."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    table = pq.read_table(dataset, columns=["split", "messages"])
    rows = []
    for split, text in zip(table["split"].to_pylist(), table["messages"].to_pylist(), strict=True):
        messages = json.loads(text)
        if split != "train":
            continue
        rendered = tokenizer.apply_chat_template(messages, tokenize=False)
        if len(tokenizer(rendered)["input_ids"]) <= max_length:
            rows.append({"prompt": messages[:-1], "completion": messages[-1:]})
    return Dataset.from_list(rows)


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Time inside optimizer steps."""

        wall = 0.0
        cpu = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._since = time.perf_counter(), time.process_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.wall += time.perf_counter() - self._since[0]
            self.cpu += time.process_time() - self._since[1]

    return Clock()


def _trainer(base: Path, recipe: dict[str, Any], tokenizer: Any, examples: Any, folder: str, clock: Any) -> Any:
    import torch
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    half = recipe["dtype"] == "bf16"
    lora = recipe["lora"]
    return SFTTrainer(
        model=str(base),
        args=SFTConfig(
            output_dir=folder,
            model_init_kwargs={"dtype": "bfloat16" if half else "float32"},
            max_steps=recipe["steps"],
            per_device_train_batch_size=recipe["batch_size"],
            gradient_accumulation_steps=recipe["gradient_accumulation"],
            learning_rate=recipe["learning_rate"],
            lr_scheduler_type=recipe["scheduler"],
            warmup_steps=recipe["warmup_steps"],
            weight_decay=recipe["weight_decay"],
            max_grad_norm=recipe["max_grad_norm"],
            max_length=recipe["max_length"],
            seed=recipe["seed"],
            use_cpu=not torch.cuda.is_available(),
            bf16=half,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=examples,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["target_modules"],
            task_type="CAUSAL_LM",
        ),
        callbacks=[clock],
    )


if __name__ == "__main__":
    main()
