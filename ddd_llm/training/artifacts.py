"""What training leaves behind, with bytes that depend on the job alone: adapter, losses, and who was trained on.

Belongs here: the forms of the output files. Does not: computing what is in them (`worker`), nor times, which are
`timings.json`'s. Heavy inside functions: torch, peft, safetensors, pyarrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.examples import Encoded
from ddd_llm.training.files import canonical_json


def write_adapter(model: Any, folder: Path, base: BaseModelInfo) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors` as PEFT reads them, in canonical form.

    PEFT itself writes sets in the order of the hash seed and the base model's absolute path. Here the base is named
    by id and digest, so that loading the adapter onto whatever lies at a path of that name fails instead of
    succeeding wrongly.

    Args:
        model: a PeftModel with one adapter.
        folder: where to write; made if it is not there.
        base: the base model's identity.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    config = _plain(model.peft_config["default"].to_dict())
    config["base_model_name_or_path"] = f"{base.id}@sha256:{base.digest}"
    config["inference_mode"] = True
    (folder / "adapter_config.json").write_bytes(canonical_json(config))
    state = get_peft_model_state_dict(model)
    tensors = {name: state[name].detach().to("cpu", torch.float32).contiguous() for name in sorted(state)}
    (folder / "adapter_model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


def write_trained_on(examples: Sequence[Encoded], plan: BatchPlan, path: Path) -> int:
    """Write which examples went through the loss, in the dataset's order.

    Columns: `id` string, `times` int64 (visits), `tokens` and `loss_tokens` int64 (of one visit). Examples of the dataset
    that were never visited are not in it.

    Returns:
        The number of rows.
    """
    import pyarrow as pa

    rows = [(e, times) for e, times in zip(examples, plan.times_seen(), strict=True) if times]
    _write_table(
        {
            "id": pa.array([e.id for e, _ in rows], pa.string()),
            "times": pa.array([times for _, times in rows], pa.int64()),
            "tokens": pa.array([len(e.input_ids) for e, _ in rows], pa.int64()),
            "loss_tokens": pa.array([e.loss_tokens for e, _ in rows], pa.int64()),
        },
        path,
    )
    return len(rows)


def write_times(ids: Sequence[str], plan: BatchPlan, path: Path) -> int:
    """Write which rows went through the loss and how often, in the dataset's order: `id` string, `times` int64.

    Returns:
        The number of rows.
    """
    import pyarrow as pa

    rows = [(identity, times) for identity, times in zip(ids, plan.times_seen(), strict=True) if times]
    columns = {"id": pa.array([i for i, _ in rows], pa.string()), "times": pa.array([n for _, n in rows], pa.int64())}
    _write_table(columns, path)
    return len(rows)


def write_refused(refused: Sequence[tuple[str, str]], path: Path) -> None:
    """Write the examples that could not be trained on: `id`, `reason` (snake_case)."""
    import pyarrow as pa

    columns = {"id": [i for i, _ in refused], "reason": [reason for _, reason in refused]}
    _write_table({name: pa.array(values, pa.string()) for name, values in columns.items()}, path)


def losses_from(history: Sequence[dict[str, Any]], plan: BatchPlan, batches_per_step: int) -> list[dict[str, Any]]:
    """Rows of losses.json from the trainer's history, by step.

    Returns:
        Per step: `step`; `loss` (mean nats per response token; None at step 0); `lr`; `grad_norm` before clipping;
            `tokens` trained on so far, without padding; `validation_loss`, None where it was not measured.
    """
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        step = int(entry["step"])
        if "loss" in entry or "validation_loss" in entry:
            row = rows.setdefault(
                step, {"step": step, "loss": None, "lr": None, "grad_norm": None, "validation_loss": None}
            )
            row["loss"] = entry.get("loss", row["loss"])
            row["lr"] = entry.get("learning_rate", row["lr"])
            row["grad_norm"] = entry.get("grad_norm", row["grad_norm"])
            row["validation_loss"] = entry.get("validation_loss", row["validation_loss"])
            row["tokens"] = plan.tokens(step * batches_per_step)
    return [rows[step] for step in sorted(rows)]


def _write_table(columns: dict[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, compression="zstd", version="2.6")


def _plain(value: Any) -> Any:
    """JSON values only: sets become sorted lists, enumerations their values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
