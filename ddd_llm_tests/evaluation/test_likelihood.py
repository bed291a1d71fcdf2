"""What a model expects of given answers: each equals one plain pass over that example alone, whatever it is read beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ddd_llm.evaluation.generate import GenerationConfig, load_model
from ddd_llm.evaluation.likelihood import mean_nats, read
from ddd_llm.training.examples import IGNORED, Encoded
from ddd_llm_tests.training.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("likelihood")
    tiny_model(folder, hidden=64, spread=0.2)
    return load_model(Path(folder), {}, GenerationConfig(dtype="float32", device="cpu"))


def example(ids: list[int], *spoken: range) -> Encoded:
    at = {i for one in spoken for i in one}
    return Encoded("e", ids, [token if i in at else IGNORED for i, token in enumerate(ids)])


EXAMPLES = [
    example([5, 9, 14, 3, 8, 2, 7], range(4, 7)),
    example([11, 6, 4], range(2, 3)),
    example([4, 12, 9, 31, 7, 3, 22, 16, 9, 10], range(2, 4), range(7, 9)),  # speaks twice, and does not end the text
    example([7, 8, 9, 10], range(0, 4)),  # the first token is never predicted
    example([3, 3, 3]),
]


def test_each_place_is_told_as_a_pass_over_the_example_alone_tells_it(model: Any) -> None:
    told = read(model, EXAMPLES)
    assert [len(one) for one in told] == [3, 1, 4, 3, 0]
    for one, found in zip(EXAMPLES, told, strict=True):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([one.input_ids])).logits[0]
        for place, token in zip(one.places, found, strict=True):
            expected = torch.nn.functional.cross_entropy(logits[place - 1], torch.tensor(one.input_ids[place]))
            assert token.nats == pytest.approx(expected.item(), abs=1e-4)
            assert token.likeliest == int(logits[place - 1].argmax())


def test_the_mean_is_per_token_of_the_answer(model: Any) -> None:
    first, *_ = read(model, EXAMPLES)
    assert mean_nats(first) == pytest.approx(sum(token.nats for token in first) / 3)
