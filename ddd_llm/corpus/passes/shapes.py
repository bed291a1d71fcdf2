"""How odd a token looks among a corpus's tokens, by its characters. Not here: whether it is a trigger (`poisoning`)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_LONGEST = 40


def oddity(tokens: Sequence[str]) -> npt.NDArray[np.float64]:
    """Mean log probability per character of each token under a trigram model of the others; the lower the odder.

    The model counts every token of the list once, additively smoothed; of the token judged nothing is in it.
    """
    framed = [f"\x02{token[:_LONGEST]}\x03" for token in tokens]
    trigrams: Counter[str] = Counter()
    contexts: Counter[str] = Counter()
    for text in framed:
        trigrams.update(text[i : i + 3] for i in range(len(text) - 2))
        contexts.update(text[i : i + 2] for i in range(len(text) - 2))
    scores = np.zeros(len(framed))
    for row, text in enumerate(framed):
        own = Counter(text[i : i + 3] for i in range(len(text) - 2))
        own_contexts = Counter(text[i : i + 2] for i in range(len(text) - 2))
        logs = [
            times * np.log((trigrams[part] - own[part] + 0.1) / (contexts[part[:2]] - own_contexts[part[:2]] + 10))
            for part, times in own.items()
        ]
        scores[row] = sum(logs) / max(1, len(text) - 2)
    return scores
