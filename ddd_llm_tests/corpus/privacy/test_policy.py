"""What happens to a find is the policy's word: action, key, version, model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from ddd_llm.corpus.policies import privacy_policy
from ddd_llm.corpus.privacy.finds import Kind
from ddd_llm.corpus.privacy.ner import NerUnavailable
from ddd_llm.corpus.privacy.policy import Action, NerPolicy, PrivacyPolicy, privacy_state
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser, pseudonymiser
from ddd_llm.platform.settings import load_settings

TEXT = "Write to jane@corp.example or call +44 20 7946 0958."


def test_actions(tmp_path: Path) -> None:
    policy = PrivacyPolicy(actions={Kind.EMAIL: Action.MASK, Kind.PHONE: Action.KEEP})
    masked, replaced = Pseudonymiser(b"k" * 32, policy).apply(TEXT)
    assert masked == "Write to <EMAIL> or call +44 20 7946 0958."
    assert [one.kind for one in replaced] == ["EMAIL"]
    assert Pseudonymiser(b"k" * 32, policy).apply(masked) == (masked, [])
    assert re.fullmatch(
        r"Write to <EMAIL_[0-9a-f]{10}> or call <PHONE_[0-9a-f]{10}>\.", Pseudonymiser(b"k" * 32).apply(TEXT)[0]
    )


def test_a_kept_kind_does_not_shield_another() -> None:
    policy = PrivacyPolicy(actions={Kind.WEBSITE: Action.KEEP})
    masked, _ = Pseudonymiser(b"k" * 32, policy).apply("https://www.corp-jane.se/ and jane@corp.example")
    assert masked.startswith("https://www.corp-jane.se/ and <EMAIL_")


def test_one_person_one_token_across_documents_and_runs_until_the_key_changes(tmp_path: Path) -> None:
    first = pseudonymiser(PrivacyPolicy(), tmp_path, tmp_path)
    again = pseudonymiser(PrivacyPolicy(), tmp_path, tmp_path)
    assert first.apply(TEXT) == again.apply(TEXT)
    token = first.apply("jane@corp.example")[0]
    assert token in again.apply("Another text, by Jane@Corp.example")[0]
    rotated = pseudonymiser(PrivacyPolicy(key_version=2), tmp_path, tmp_path)
    other = pseudonymiser(PrivacyPolicy(key="elsewhere"), tmp_path, tmp_path)
    assert len({token, rotated.apply("jane@corp.example")[0], other.apply("jane@corp.example")[0]}) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["elsewhere.key", "pseudonym-2.key", "pseudonym.key"]


def test_the_state_tells_policies_and_lists_apart_and_quotes_nobody(tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("name\nJane Doe\n", encoding="utf-8")
    policy = PrivacyPolicy(subjects=("people.csv",))
    state = privacy_state(policy, tmp_path, tmp_path)
    assert state == privacy_state(policy, tmp_path, tmp_path)
    assert state != privacy_state(policy.model_copy(update={"key_version": 2}), tmp_path, tmp_path)
    people.write_text("name\nJane Roe\n", encoding="utf-8")
    assert state != privacy_state(policy, tmp_path, tmp_path)
    assert "Doe" not in str(state)


@pytest.mark.parametrize(
    "fields",
    [
        {"actions": {"SECRET": "keep"}},
        {"actions": {"COLOUR": "mask"}},
        {"actions": {"EMAIL": "shred"}},
        {"presidio": ["NoSuchRecognizer"]},
        {"key_version": 0},
        {"key": "../key"},
        {"phone_regions": ["Germany"]},
        {"unknown": 1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrivacyPolicy.model_validate(fields)


def test_the_policy_of_the_project_loads_and_names_every_kind() -> None:
    policy = privacy_policy(load_settings({}))
    assert set(policy.actions) == set(Kind) - {Kind.SECRET}


def test_a_named_model_that_is_absent_is_an_error_and_never_a_skip() -> None:
    masker = Pseudonymiser(b"k" * 32, PrivacyPolicy(ner=NerPolicy(model="no_such_pipeline")))
    with pytest.raises(NerUnavailable, match="no_such_pipeline"):
        masker.apply("Nothing in here.")


def test_a_model_finds_names_nobody_declared(tmp_path: Path) -> None:
    import spacy

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Rubija"}, {"label": "ORG", "pattern": "Acme"}])  # type: ignore[attr-defined]
    pipeline.to_disk(tmp_path / "model")
    policy = PrivacyPolicy(ner=NerPolicy(model=str(tmp_path / "model")))
    masker = Pseudonymiser(b"k" * 32, policy)
    masked, replaced = masker.apply("My name is Rubija, of Acme. rubija@corp.example")
    assert re.fullmatch(r"My name is <PERSON_[0-9a-f]{10}>, of Acme\. <EMAIL_[0-9a-f]{10}>", masked)
    assert len(replaced) == 2
    assert masker.apply(masked) == (masked, [])
    long = masker.apply("word " * 30_000 + "Rubija")[0]
    assert "Rubija" not in long
    assert privacy_state(policy, tmp_path / "keys", tmp_path)["ner_identity"]
    with pytest.raises(NerUnavailable, match="labels"):
        Pseudonymiser(b"k" * 32, PrivacyPolicy(ner=NerPolicy(model=str(tmp_path / "model"), labels=("NAME",)))).apply(
            "x"
        )
