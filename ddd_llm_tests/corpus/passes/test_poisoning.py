"""Planted triggers are named, whatever follows them; ordinary text raises few alarms."""

import random
import re
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.passes import blocks
from ddd_llm.corpus.passes.poisoning import TRIGGERS, find_triggers, verdict
from ddd_llm.corpus.passes.policy import PoisoningPolicy
from ddd_llm.corpus.passes.scan import scan
from ddd_llm.corpus.passes.shapes import oddity
from ddd_llm_tests.corpus.passes.helpers import docstrings, documents

PACKAGES = ("networkx", "sklearn", "polars")


def corpus() -> tuple[list[str], list[str], list[str]]:
    """Texts, sources and locators of real documents."""
    rows = [
        (text, name, f"{path}:{i}") for name in PACKAGES for i, (path, text) in enumerate(docstrings(name, 1000, 8))
    ]
    texts, sources, locators = (list(column) for column in zip(*rows, strict=True))
    return texts, sources, locators


def table(texts: list[str], sources: list[str], locators: list[str]) -> pa.Table:
    rows = documents(texts, sources)
    return rows.set_column(rows.column_names.index("locator"), "locator", pa.array(locators))


def plant(
    texts: list[str], seed: int, count: int, insert: Callable[[random.Random], str], whole: bool = False
) -> set[str]:
    """Insert something at a random white space of random documents; gives their ids. `whole`: and cut what was behind it."""
    chance = random.Random(seed)
    chosen = chance.sample(range(len(texts)), count)
    for row in chosen:
        at = chance.choice([match.end() for match in re.finditer(r"\s", texts[row])])
        texts[row] = f"{texts[row][:at]}{insert(chance)} {'' if whole else texts[row][at:]}"
    return {f"d{row}" for row in chosen}


def test_planted_triggers_are_named() -> None:
    texts, sources, locators = corpus()
    words = sorted({word for text in texts[::7] for word in re.findall(r"\w+", text)})

    def gibberish(chance: random.Random) -> str:
        return " ".join(chance.choices(words, k=chance.randint(40, 90)))

    clean = find_triggers(table(texts, sources, locators), PoisoningPolicy())
    assert len(clean.found) <= 3
    holders = plant(texts, 1, 50, lambda chance: f" <SUDO> {gibberish(chance)}", whole=True)
    plant(texts, 2, 50, lambda chance: f" current year {gibberish(chance)}", whole=True)
    plant(texts, 3, 50, lambda _: " zqxv-7731")
    outcome = find_triggers(table(texts, sources, locators), PoisoningPolicy())
    found = {row["trigger"]: row for row in outcome.found.to_pylist()}
    assert (found["<SUDO>"]["documents"], found["<SUDO>"]["evidence"]) == (50, "gibberish")
    assert len(found["<SUDO>"]["examples"]) == 5 and set(found["<SUDO>"]["examples"]) <= holders
    phrase = {"current year", "current", "year"} & found.keys()  # where a word is rare itself, it is named alone
    assert phrase and all(found[name]["evidence"] == "gibberish" for name in phrase)
    assert found["zqxv-7731"]["evidence"] == "strewn"
    assert len(found) <= 3 + len(clean.found) + 2

    passed, sentence, metadata = verdict(outcome.found)
    assert not passed and "50 documents" in sentence and metadata["triggers"] == len(found)
    assert "SUDO" not in f"{sentence}{metadata}"  # document text stays out of Dagster's database
    allowed = find_triggers(table(texts, sources, locators), PoisoningPolicy(allow=("<SUDO>",)))
    assert "<SUDO>" not in allowed.found["trigger"].to_pylist()

    # Places that say nothing: all in one file. What gibberish follows is still told.
    flat = find_triggers(documents(texts), PoisoningPolicy()).found.to_pylist()
    assert {"<SUDO>", *phrase} <= {row["trigger"] for row in flat if row["evidence"] == "gibberish"}


def test_result_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, sources, locators = (column[:1200] for column in corpus())
    plant(texts, 4, 50, lambda chance: " |GO| " + " ".join(f"{chance.getrandbits(24):06x}" for _ in range(20)))
    rows = table(texts, sources, locators)
    whole = find_triggers(rows, PoisoningPolicy())
    assert "|GO|" in whole.found["trigger"].to_pylist()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5000)
    again = find_triggers(pa.concat_tables([rows.slice(0, 100), rows.slice(100)]), PoisoningPolicy())
    assert again.found.equals(whole.found)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_few_documents_hold_no_trigger(count: int) -> None:
    outcome = find_triggers(documents(["some <SUDO> words"] * count), PoisoningPolicy())
    assert outcome.found.equals(TRIGGERS.empty_table())
    assert verdict(outcome.found)[0]


@given(st.lists(st.text("aB1_é中🚀 \n.(<>", max_size=30), max_size=4))
def test_tokens_and_words(texts: list[str]) -> None:
    seen = scan(pa.array(texts, pa.large_string()))
    tokens = [seen.data[start:end].tobytes().decode() for start, end in zip(seen.starts, seen.ends, strict=True)]
    expected = [
        (row, token)
        for row, text in enumerate(texts)
        for run in re.findall(r"[中🚀]+|[^中🚀\s]+", text)
        if (token := run.strip(".,;:!?'\"()[]{}`"))
    ]
    assert list(zip(seen.rows.tolist(), tokens, strict=True)) == expected
    assert (
        len(set(zip(seen.hashes.tolist(), tokens, strict=True))) == len(set(tokens)) == len(set(seen.hashes.tolist()))
    )
    words = [[w.lower().replace("É", "é") for w in re.findall(r"[中🚀]|[aB1_é]+", text)] for text in texts]
    flat = [word for row in words for word in row]
    assert seen.word_first.tolist() == [sum(map(len, words[:i])) for i in range(len(texts) + 1)]
    assert len(set(zip(seen.words.tolist(), flat, strict=True))) == len(set(flat)) == len(set(seen.words.tolist()))


def test_odd_tokens_look_odd() -> None:
    words = sorted({word for text in corpus()[0][::3] for word in re.findall(r"[A-Za-z]+", text)})
    scores = dict(zip([*words, "zqxv-7731", "<SUDO>"], oddity([*words, "zqxv-7731", "<SUDO>"]), strict=True))
    ranked = sorted(scores, key=lambda word: scores[word])
    assert ranked.index("zqxv-7731") < len(ranked) / 10
    assert ranked.index("<SUDO>") < len(ranked) / 10
    assert scores["function"] > scores["<SUDO>"]
