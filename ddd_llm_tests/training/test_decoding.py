"""The decoding loop says what transformers' own says, however prompts are batched, repeated and padded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddd_llm.training.decoding import decode, likeliest, sampled, stop_ids
from ddd_llm_tests.training.tiny import tiny_model, tiny_tokenizer

LIMIT = 12
PROMPTS = st.lists(st.lists(st.integers(3, 60), min_size=1, max_size=9), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder = Path(tmp_path_factory.mktemp("decoding"))
    tiny_model(folder, hidden=64, spread=0.3)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def plain(model: Any, prompt: list[int], stops: frozenset[int]) -> list[int]:
    """Greedy decoding with the whole text read anew for each token."""
    ids: list[int] = []
    while len(ids) < LIMIT and not (ids and ids[-1] in stops):
        ids.append(int(model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, -1].argmax()))
    return ids


@given(prompts=PROMPTS, times=st.lists(st.integers(1, 3), min_size=4, max_size=4), data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_answer_is_what_its_prompt_alone_gives(model: Any, prompts: Any, times: Any, data: Any) -> None:
    with torch.inference_mode():
        alone = [plain(model, prompt, frozenset()) for prompt in prompts]
        # Some tokens that really come end an answer, so that rows leave the batch at different times.
        said = sorted({token for ids in alone for token in ids})
        stops = frozenset(data.draw(st.lists(st.sampled_from(said), max_size=2)))
        repeated = [prompt for prompt, count in zip(prompts, times, strict=False) for _ in range(count)]
        told = decode(model, repeated, stops, LIMIT, likeliest)
        assert told == [plain(model, prompt, stops) for prompt in repeated]


def test_sampling_follows_the_probabilities_at_its_temperature(model: Any) -> None:
    prompt, count, temperature = [5, 9, 7], 4000, 0.7
    with torch.inference_mode():
        wanted = (model(input_ids=torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1)
        torch.manual_seed(0)
        told = decode(model, [prompt] * count, frozenset(), 1, sampled(temperature))
    found = torch.bincount(torch.tensor([ids[0] for ids in told]), minlength=len(wanted)) / count
    assert float((found - wanted).abs().max()) < 4 * float((wanted * (1 - wanted) / count).sqrt().max())


def test_only_the_likeliest_tokens_are_drawn_from(model: Any) -> None:
    prompt = [5, 9, 7]
    with torch.inference_mode():
        best = set(model(input_ids=torch.tensor([prompt])).logits[0, -1].topk(3).indices.tolist())
        torch.manual_seed(0)
        told = decode(model, [prompt] * 200, frozenset(), 1, sampled(5.0, top_k=3))
        assert {ids[0] for ids in told} == best
        assert decode(model, [prompt], frozenset(), LIMIT, sampled(1.0, top_k=1)) == [plain(model, prompt, frozenset())]


def test_what_ends_an_answer_is_the_tokenizers_and_the_models(model: Any) -> None:
    tokenizer = tiny_tokenizer()
    model.generation_config.eos_token_id = [7, 8]
    assert stop_ids(model, tokenizer) == {7, 8, tokenizer.eos_token_id}
    model.generation_config.eos_token_id = None
    assert stop_ids(model, tokenizer) == {tokenizer.eos_token_id}
