"""Tags: toxicity and profanity of documents, kept beside them; no text changes and nothing is dropped.

Here: the scores. Not here: what anybody does with them.

`toxicity` is the probability that alt-profanity-check gives the worst window of a document: so one bad paragraph in a long
document is seen, and a document of one window has the score of its whole text. `profanity` is the number of words that the
same classifier takes for profane by themselves. The model (V. Zhou, 2019: TF-IDF of single English words, linear
support vector machine, sigmoid calibration) was trained on comments and tweets: it knows English only, and takes names of
identities for insults (L. Dixon and others, Measuring and Mitigating Unintended Bias, AIES 2018), so that the policy exempts some
words. Technical text uses harmless words of its list ("die", "pig"): a tag is a reason to look.

The package keeps its model as two joblib files, which are pickles. They lie inside an installed package that the lock file
pins by hash and are loaded by that package itself; nothing of them enters the store.
"""

import re
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.passes.blocks import text_blocks
from ddd_llm.corpus.passes.outcome import Outcome
from ddd_llm.corpus.passes.policy import TagsPolicy
from ddd_llm.corpus.quality import DECISIONS
from ddd_llm.platform.cores import over_rows

TAGS = pa.schema([("id", pa.string()), ("tag", pa.string()), ("score", pa.float64()), ("rule", pa.string())])
_WORD = re.compile(r"\w\w+")
_DIGITS = 6  # of a score that are recorded: more would differ between machines


def tag_documents(documents: pa.Table, policy: TagsPolicy) -> Outcome:
    """Score every document.

    Args:
        documents: columns `id, text`; they pass through.
        policy: see `TagsPolicy`.

    Returns:
        The documents as they are, and `TAGS`: a row `toxicity` for a score of at least `record_from`, a row `profanity` for at
        least one profane word; in order of the documents. `rule` names the rule, its version and the package's.
    """
    scores = np.concatenate(list(over_rows(partial(_scores, policy=policy), documents.select(["text"]))))
    rows, kinds = np.nonzero(scores >= np.array([policy.record_from, 1]))
    package = f"alt-profanity-check {version('alt-profanity-check')}"
    names = [("toxicity", f"toxicity/1 {package}"), ("profanity", f"profanity/1 {package}")]
    table = pa.table(
        {
            "id": documents["id"].take(pa.array(rows)),
            "tag": pa.array([names[kind][0] for kind in kinds.tolist()], pa.string()),
            "score": scores[rows, kinds],
            "rule": pa.array([names[kind][1] for kind in kinds.tolist()], pa.string()),
        }
    ).cast(TAGS)
    counts, edges = np.histogram(scores[:, 0], bins=10, range=(0, 1))
    summary = {
        "documents": len(documents),
        "toxicity_rows": int((kinds == 0).sum()),
        "profanity_rows": int((kinds == 1).sum()),
        "toxicity_histogram": {f"{low:.1f}": int(n) for low, n in zip(edges, counts, strict=False)},
    }
    return Outcome(documents, DECISIONS.empty_table(), table, summary)


def _scores(documents: pa.Table, policy: TagsPolicy) -> npt.NDArray[np.float64]:
    # Toxicity and number of profane words of each document: (documents, 2).
    toxic, profane = [np.zeros(0)], [np.zeros(0)]
    for _, block in text_blocks(documents["text"]):
        texts = block.to_pylist()
        toxic.append(toxicity(texts, policy.window))
        profane.append(profanity(texts, policy.word_score, policy.exempt_words))
    return np.stack([np.concatenate(toxic).round(_DIGITS), np.concatenate(profane)], axis=1)


def toxicity(texts: list[str], window: int) -> npt.NDArray[np.float64]:
    """Probability of toxicity of each text's worst window of `window` words (split at white space, overlapping by half)."""
    vectorizer, model = _classifier()
    windows: list[str] = []
    first: list[int] = []
    step = max(1, window // 2)
    for text in texts:
        first.append(len(windows))
        words = text.split()
        windows += [" ".join(words[i : i + window]) for i in range(0, max(1, len(words) - window + step), step)]
    if not windows:
        return np.zeros(0)
    return np.maximum.reduceat(model.predict_proba(vectorizer.transform(windows))[:, 1], first)


def profanity(texts: list[str], word_score: float, exempt: tuple[str, ...] = ()) -> npt.NDArray[np.float64]:
    """How many words of each text are profane by themselves."""
    words = profane_words(word_score).difference(word.lower() for word in exempt)
    return np.array([sum(word in words for word in _WORD.findall(text.lower())) for text in texts], np.float64)


@cache
def profane_words(word_score: float) -> frozenset[str]:
    """The words of the classifier's vocabulary that alone have at least this probability."""
    vectorizer, model = _classifier()
    words = vectorizer.get_feature_names_out()
    return frozenset(words[model.predict_proba(vectorizer.transform(words))[:, 1] >= word_score].tolist())


@cache
def _classifier() -> tuple[Any, Any]:
    from profanity_check import profanity_check

    return profanity_check.vectorizer, profanity_check.model
