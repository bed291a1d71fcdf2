"""A classifier as a quality rule: a fastText model or a linear model, read from a file that the policy pins by digest.

Here: the two kinds of model file and their scores. Not here: training one. No pickle is ever read. Both models see the
words of a document's prose in lower case (`Document.prose`), joined by one space: train on the same.

Linear models are logistic regressions on relative word frequencies: score = 1 / (1 + exp(-(bias + sum of weight[w] *
count(w) / words))). As JSON: `{"format": "linear/1", "bias": b, "weights": {word: weight}}`; words without a weight count
as 0. As safetensors: `weights` (float, shape (buckets,)) and `bias` (float, shape (1,)), a word's weight standing in bucket
CRC-32 (of its UTF-8 bytes) modulo buckets. fastText: A. Joulin and others, Bag of Tricks for Efficient Text Classification
(arXiv 1607.01759); the score is the probability of `label`.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.fasttext_file import labels_of
from ddd_llm.corpus.filters.rule import Measured, Question, Rule
from ddd_llm.platform.inputs import InputError

Score = Callable[[list[str]], float]


class Classifier(Rule):
    """What a trained model holds to be of little worth."""

    origin: ClassVar[str] = "FineWeb (FineWeb-Edu's classifier); GPT-3 (arXiv 2005.14165, appendix A)"

    rule: Literal["classifier"] = "classifier"
    version: Literal[1] = 1
    path: Path = Field(
        description="Model file, absolute or below assets/: .bin or .ftz (fastText), .json or .safetensors."
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the file: another model is another policy.")
    label: str | None = Field(default=None, min_length=1, description="fastText: the label of what is wanted.")
    least: float = Field(ge=0, le=1, description="Score that a document must have.")
    min_words: int = Field(default=1, ge=1, description="Documents of less prose pass.")

    def open(self, assets: Path) -> Question:
        path = assets / self.path
        score = self._score(path, _verified(path, self.sha256))

        def ask(document: Document) -> Measured | None:
            if len(document.prose) < self.min_words:
                return None
            return Measured(score(document.prose), self.least, "least")

        return ask

    def measure(self, document: Document) -> Measured | None:
        """As `open` says, for a model given by an absolute path (the file is read anew: for single documents)."""
        return self.open(Path("/"))(document)

    def _score(self, path: Path, data: bytes) -> Score:
        match path.suffix:
            case ".bin" | ".ftz":
                if self.label is None:
                    raise InputError(f"{path}: the rule classifier needs `label`, the fastText label of what is wanted")
                return _fasttext(path, data, self.label)
            case ".json":
                return _words(path, data)
            case ".safetensors":
                return _buckets(path, data)
        raise InputError(f"{path}: a classifier is a .bin, .ftz, .json or .safetensors file")


def _verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the model of the rule classifier cannot be read ({error.strerror})") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise InputError(f"{path}: the model has sha256 {found}, the policy names {sha256}")
    return data


def _fasttext(path: Path, data: bytes, label: str) -> Score:
    from fasttext import load_model

    try:
        known = labels_of(data)
        model = load_model(str(path))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    wanted = label if label.startswith("__label__") else f"__label__{label}"
    if wanted not in known:
        raise InputError(f"{path}: the model has no label {label!r}; it has {', '.join(sorted(known))}")

    def score(words: list[str]) -> float:
        # The inner call: fasttext's own wrapper fails with NumPy 2.
        found = model.f.predict(" ".join(words) + "\n", len(known), 0.0, "strict")
        return min(1.0, next((float(share) for share, name in found if name == wanted), 0.0))

    return score


def _words(path: Path, data: bytes) -> Score:
    try:
        given: Any = json.loads(data)
        weights = {str(word): float(weight) for word, weight in given["weights"].items()}
        bias, kind = float(given["bias"]), given["format"]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: not a linear model in JSON ({type(error).__name__})") from None
    if kind != "linear/1":
        raise InputError(f"{path}: the format must be linear/1")
    _finite(path, [bias, *weights.values()])
    return lambda words: _logistic(bias, words, lambda word: weights.get(word, 0.0))


def _buckets(path: Path, data: bytes) -> Score:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        weights, bias = tensors["weights"], tensors["bias"]
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: not a linear model in safetensors ({type(error).__name__})") from None
    if weights.ndim != 1 or not len(weights) or bias.shape != (1,) or {weights.dtype.kind, bias.dtype.kind} != {"f"}:
        raise InputError(f"{path}: `weights` must be floats of shape (buckets,), `bias` a float of shape (1,)")
    table, offset = weights.astype("float64").tolist(), float(bias[0])
    _finite(path, [offset, *table])
    return lambda words: _logistic(offset, words, lambda word: table[zlib.crc32(word.encode()) % len(table)])


def _logistic(bias: float, words: list[str], weight: Callable[[str], float]) -> float:
    # fsum: the same whatever the order of the words.
    found = math.fsum(weight(word) * count for word, count in Counter(words).items()) / len(words)
    return 0.5 * (1 + math.tanh((bias + found) / 2))


def _finite(path: Path, numbers: list[float]) -> None:
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{path}: a weight is not a finite number")
