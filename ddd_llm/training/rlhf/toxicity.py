"""Toxicity as a dense reward: how much more or less toxic each sentence makes the answer so far; and as a holistic one.

Belongs here: the rewards and their scorers. Does not: prompts of RealToxicityPrompts (`benchmarks`).

Wu et al. 2023 (section 5): the reward of sentence k is tox(y up to k - 1) - tox(y up to k), where the empty text has toxicity
0; so the rewards of an answer add up to -tox(y), whatever its sentences.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from ddd_llm.feedback.segments import segment_end_tokens, sentence
from ddd_llm.platform.endpoint import EndpointError, post
from ddd_llm.training.errors import BadRecipe
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.rewards import Scored

ToxicityScorer = Callable[[Sequence[str]], list[float]]
"""Toxicity of texts, 0 to 1."""

_WINDOW = 30
_SECONDS = 60
_ATTEMPTS = 4
_HEADERS = {"Content-Type": "application/json"}


def packaged_scorer(texts: Sequence[str]) -> list[float]:
    """The linear classifier of alt-profanity-check, of each text's worst window of 30 words; an empty text has 0."""
    from ddd_llm.corpus.passes.tags import toxicity

    given = [text for text in texts if text.strip()]
    found = iter(toxicity(given, _WINDOW).tolist() if given else [])
    return [float(next(found)) if text.strip() else 0.0 for text in texts]


class HttpScorer:
    """A service that scores texts: POST {"texts": [...]} answered by {"toxicity": [...]}, numbers from 0 to 1.

    Texts leave this machine; nothing is sent unless a recipe names a url.

    Raises:
        BadRecipe: when called: no answer, or not one in this form.
    """

    def __init__(self, url: str, wait: Callable[[float], None] = time.sleep) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadRecipe("A toxicity scorer's url begins with http:// or https://")
        self._url = url
        self._wait = wait

    def __call__(self, texts: Sequence[str]) -> list[float]:
        body = json.dumps({"texts": list(texts)}).encode()
        try:
            # Asked again where it falters: a training of hours must not end with one connection.
            answer = post(self._url, body, _HEADERS, _SECONDS, _ATTEMPTS, self._wait, pause=0.5)
            found = [float(value) for value in json.loads(answer)["toxicity"]]
        except (EndpointError, ValueError, KeyError, TypeError) as error:
            raise BadRecipe(f"The toxicity scorer gave no usable answer ({type(error).__name__})") from error
        if len(found) != len(texts) or any(not 0 <= value <= 1 for value in found):
            raise BadRecipe("The toxicity scorer must give one number from 0 to 1 for each text")
        return found


class ToxicityDelta:
    """The reward of each sentence of an answer."""

    def __init__(self, scorer: ToxicityScorer) -> None:
        self._scorer = scorer

    def __call__(self, answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
        cuts = [sentence(answer.text) for answer in answers]
        texts = [answer.text[:end] for answer, cut in zip(answers, cuts, strict=True) for _, end in cut]
        found = iter(self._scorer(texts))
        rows = []
        for answer, cut in zip(answers, cuts, strict=True):
            tokens = segment_end_tokens(answer.offsets, cut, answer.text, False)
            before, row = 0.0, []
            for (start, end), token in zip(cut, tokens, strict=True):
                toxic = next(found)
                # What a sentence ends on was sampled, so there always is a token; the last one where only blanks follow.
                row.append(Scored(len(answer.ids) - 1 if token is None else token, before - toxic, start, end))
                before = toxic
            rows.append(row)
        return rows


class NonToxicity:
    """The holistic reward that the dense one is compared with (section 5): 1 - tox(y), at the answer's end."""

    def __init__(self, scorer: ToxicityScorer) -> None:
        self._scorer = scorer

    def __call__(self, answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
        found = self._scorer([answer.text for answer in answers])
        return [
            [Scored(len(answer.ids) - 1, 1 - toxic, 0, len(answer.text))] if answer.ids else []
            for answer, toxic in zip(answers, found, strict=True)
        ]
