"""Toxicity and profanity are seen wherever they stand, and no text changes."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from ddd_llm.corpus.passes import blocks
from ddd_llm.corpus.passes.policy import TagsPolicy
from ddd_llm.corpus.passes.tags import TAGS, profane_words, profanity, tag_documents, toxicity
from ddd_llm_tests.corpus.passes.helpers import docstrings, documents

BAD = "You stupid idiot, you pathetic moron, shut up and go to hell."


def test_one_bad_sentence_in_a_long_document_is_seen() -> None:
    long = " ".join(text for _, text in docstrings("networkx", 60))
    half = len(long) // 2
    table = documents([long, f"{long[:half]} {BAD} {long[half:]}", BAD, "", "x"])
    outcome = tag_documents(table, TagsPolicy())
    assert outcome.documents.equals(table)
    assert outcome.found.schema == TAGS
    found = {(row["id"], row["tag"]): row["score"] for row in outcome.found.to_pylist()}
    assert found.keys() == {("d1", "toxicity"), ("d1", "profanity"), ("d2", "toxicity"), ("d2", "profanity")}
    assert found["d1", "toxicity"] > 0.7 and found["d2", "toxicity"] > 0.95
    assert found["d2", "profanity"] == found["d1", "profanity"] >= 4
    assert all("alt-profanity-check" in row["rule"] for row in outcome.found.to_pylist())


def test_scores_are_the_packages_own_for_short_texts() -> None:
    from profanity_check import predict_prob

    texts = [BAD, "Return the number of items in the queue.", "What the hell is this rubbish?"]
    assert toxicity(texts, 40).tolist() == pytest.approx(predict_prob(texts).tolist())


def test_words_of_identity_can_be_exempt() -> None:
    assert {"stupid", "gay"} <= profane_words(0.95) and "queue" not in profane_words(0.5)
    assert profanity(["Gay people", "stupid"], 0.95).tolist() == [1, 1]
    assert profanity(["Gay people", "stupid"], 0.95, ("GAY",)).tolist() == [0, 1]


def test_result_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = documents([f"{'words ' * (i % 50)}{BAD if i % 3 else ''}" for i in range(40)])
    whole = tag_documents(table, TagsPolicy())
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    again = tag_documents(pa.concat_tables([table.slice(0, 3), table.slice(3)]), TagsPolicy())
    assert again.found.equals(whole.found) and again.summary == whole.summary


def test_labelled_comments() -> None:
    folder = os.environ.get("DDD_LLM_DATA")
    path = Path(folder or "") / "surge_toxicity" / "data.jsonl.gz"
    if not folder or not path.is_file():
        pytest.skip("DDD_LLM_DATA names no folder with surge_toxicity")
    from sklearn.metrics import roc_auc_score

    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    scores = toxicity([row["text"] for row in rows], TagsPolicy().window)
    assert roc_auc_score([row["is_toxic"] == "Toxic" for row in rows], scores) >= 0.8
