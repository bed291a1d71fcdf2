"""The classifier rule with real models: a fastText model trained on the spot, and linear models against scikit-learn."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save

from ddd_llm.corpus.filters.classifier import Classifier
from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.policy import CurationPolicy
from ddd_llm.corpus.quality import judge
from ddd_llm.platform.inputs import InputError

GOOD = ["Return the number of items in the queue.", "The value is read from the file at each call.", "Raise an error."]
BAD = ["Win cash now, click here now.", "Buy cheap pills now, free offer.", "Click to win a free prize, act now."]


def documents() -> pa.Table:
    rows = GOOD + BAD
    return pa.table(
        {
            "id": [str(i) for i in range(len(rows))],
            **{name: [name] * len(rows) for name in ("source", "locator", "batch", "media_type", "language")},
            "text": rows,
        }
    )


def rule_of(path: Path, **fields: Any) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"rule": "classifier", "path": path.name, "sha256": digest, "least": 0.5, **fields}


def policy_of(rule: dict[str, Any]) -> CurationPolicy:
    return CurationPolicy.model_validate({"version": 1, "rules": [rule]})


def trained() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Vocabulary, word vectors and output matrix of a fastText classifier (bag of words, softmax), by gradient descent."""
    prose = [Document(text).prose for text in GOOD + BAD]
    known = sorted({word for words in prose for word in words})
    bags = np.array([[words.count(word) / len(words) for word in known] for words in prose])
    truth = np.eye(2)[[0] * len(GOOD) + [1] * len(BAD)]
    random = np.random.default_rng(7)
    vectors, output = random.normal(0, 0.1, (len(known), 4)), random.normal(0, 0.1, (2, 4))
    for _ in range(2000):
        hidden = bags @ vectors
        scores = np.exp(hidden @ output.T)
        slope = scores / scores.sum(axis=1, keepdims=True) - truth
        vectors, output = vectors - 0.5 * bags.T @ (slope @ output), output - 0.5 * slope.T @ hidden
    return known, vectors.astype("float32"), output.astype("float32")


def model_file(known: list[str], vectors: np.ndarray, output: np.ndarray) -> bytes:
    """The model in fastText's own file format (the installed library predicts, but does not train)."""
    data = struct.pack("<ii12id", 793712314, 12, 4, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4)
    data += struct.pack("<iiiqq", len(known) + 2, len(known), 2, len(known), -1)
    for word in known:
        data += word.encode() + b"\0" + struct.pack("<qb", 1, 0)
    for label in ("__label__good", "__label__bad"):
        data += label.encode() + b"\0" + struct.pack("<qb", 1, 1)
    for matrix in (vectors, output):
        data += struct.pack("<?qq", False, *matrix.shape) + matrix.tobytes()
    return data


@pytest.fixture(scope="module")
def fasttext_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "quality.bin"
    path.write_bytes(model_file(*trained()))
    return path


def test_fasttext_keeps_what_it_likes(fasttext_model: Path) -> None:
    found = judge(documents(), policy_of(rule_of(fasttext_model, label="good")), fasttext_model.parent)
    assert found.kept["text"].to_pylist() == GOOD
    assert set(found.decisions["reason"].drop_null().to_pylist()) == {"classifier"}
    scores = found.measures["classifier"].to_pylist()
    assert all(0 <= score <= 1 for score in scores)
    known, vectors, output = trained()
    for text, score in zip(GOOD + BAD, scores, strict=True):
        hidden = np.mean([vectors[known.index(word)] for word in Document(text).prose], axis=0)
        assert np.isclose(score, 1 / (1 + np.exp((output[1] - output[0]) @ hidden)), atol=1e-4)
    # The two labels' scores add up to one.
    other = judge(documents(), policy_of(rule_of(fasttext_model, label="__label__bad")), fasttext_model.parent)
    assert np.allclose(np.add(scores, other.measures["classifier"].to_pylist()), 1, atol=1e-3)


def test_what_a_model_must_be(fasttext_model: Path, tmp_path: Path) -> None:
    def opened(rule: dict[str, Any], folder: Path = tmp_path) -> None:
        Classifier.model_validate(rule).open(folder)

    whole = fasttext_model.read_bytes()
    with pytest.raises(InputError, match="cannot be read"):
        opened({"rule": "classifier", "path": "none.bin", "sha256": "0" * 64, "label": "x", "least": 0.5})
    with pytest.raises(InputError, match="the policy names 0000"):
        opened(rule_of(fasttext_model, sha256="0" * 64), fasttext_model.parent)
    with pytest.raises(InputError, match="needs `label`"):
        opened(rule_of(fasttext_model), fasttext_model.parent)
    with pytest.raises(InputError, match="no label 'best'; it has __label__bad, __label__good"):
        opened(rule_of(fasttext_model, label="best"), fasttext_model.parent)
    for name, data, message in [
        ("broken.bin", b"no model", "not a fastText model"),
        ("word_vectors.bin", whole[:36] + struct.pack("<i", 1) + whole[40:], "not a supervised"),
        *(
            (f"cut{at}.bin", whole[:at], "not a (whole )?fastText model")
            for at in (0, 7, 60, 90, 120, 400, len(whole) - 1)
        ),
        ("model.pkl", b"x", "a classifier is a"),
        ("a.json", b"[1]", "not a linear model in JSON"),
        ("b.json", b'{"format": "linear/2", "bias": 0, "weights": {}}', "must be linear/1"),
        ("c.json", b'{"format": "linear/1", "bias": NaN, "weights": {}}', "not a finite number"),
        ("d.safetensors", b"\0" * 20, "not a linear model in safetensors"),
        ("e.safetensors", save({"weights": np.zeros((2, 2)), "bias": np.zeros(1)}), "must be floats of shape"),
        ("f.safetensors", save({"weights": np.array([np.inf]), "bias": np.zeros(1)}), "not a finite number"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=message):
            opened(rule_of(tmp_path / name, label="good"))
    with pytest.raises(InputError):
        judge(documents().slice(0, 0), policy_of(rule_of(tmp_path / "a.json")), tmp_path)  # also with nothing to judge


def test_linear_models_score_as_scikit_learn_does(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    prose = [Document(text).prose for text in GOOD + BAD]
    known = sorted({word for words in prose for word in words})
    buckets = 64
    named = np.array([[words.count(word) / len(words) for word in known] for words in prose])
    hashed = np.zeros((len(prose), buckets))
    for row, words in enumerate(prose):
        for word in words:
            hashed[row, zlib.crc32(word.encode()) % buckets] += 1 / len(words)
    labels = [1] * len(GOOD) + [0] * len(BAD)
    for features, name in ((named, "model.json"), (hashed, "model.safetensors")):
        trained = LogisticRegression(C=100).fit(features, labels)
        weights, bias = trained.coef_[0], trained.intercept_
        path = tmp_path / name
        if name.endswith("json"):
            table = dict(zip(known, weights.tolist(), strict=True))
            path.write_text(json.dumps({"format": "linear/1", "bias": bias[0], "weights": table}), encoding="utf-8")
        else:
            path.write_bytes(save({"weights": weights, "bias": bias}))
        found = judge(documents(), policy_of(rule_of(path)), tmp_path)
        assert np.allclose(found.measures["classifier"].to_pylist(), trained.predict_proba(features)[:, 1], atol=1e-12)
        assert found.kept["text"].to_pylist() == GOOD


def test_short_documents_may_pass(fasttext_model: Path) -> None:
    rule = rule_of(fasttext_model, label="good", min_words=100)
    found = judge(documents(), policy_of(rule), fasttext_model.parent)
    assert len(found.kept) == 6 and found.measures["classifier"].null_count == 6
    empty = Classifier.model_validate(rule_of(fasttext_model, label="good")).open(fasttext_model.parent)
    assert empty(Document("")) is None
