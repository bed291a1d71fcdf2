"""The scorer: what counts as right, in many people's words, and what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.evaluation.answer_reading import is_refusal
from ddd_llm.evaluation.scoring import F1_THRESHOLD, MAX_WORDS, score
from ddd_llm.instructions.selection import REFUSAL_TASKS

OBJECT = {"task": "unknown_object", "function": "resample", "object": "Client.send", "form": "summary"}
SILENT = {"task": "undescribed_parameter", "function": "resample", "parameter": "ratio", "form": "parameter_meaning"}
UNKNOWN = {"task": "unknown_parameter", "function": "resample", "parameter": "ratio", "form": "default_value"}
AUTO = {"task": "default_value", "function": "fit", "parameter": "solver", "default": "'auto'"}
REQUIRED = {"task": "default_value", "function": "fit", "parameter": "x", "default": None}
LISTED = {"task": "parameters", "function": "fit", "parameters": ["x", "n_iter", "kwargs"]}
NOTHING = {"task": "parameters", "function": "now", "parameters": []}
RAISES = {"task": "raises", "function": "fit", "exceptions": ["ValueError", "NotFitted"]}
CALL = {"task": "example", "function": "fit", "parameters": ["x", "n"], "required": 1, "open_keywords": False}
SUMMARY = {"task": "summary", "function": "resample", "reference": "Resample a signal along the given axis."}
MEANING = {
    "task": "parameter_meaning",
    "function": "mean",
    "parameter": "axis",
    "reference": "Axis along which the means are computed.",
}
ALL_FACTS = [UNKNOWN, AUTO, REQUIRED, LISTED, NOTHING, RAISES, CALL, SUMMARY, MEANING, OBJECT, SILENT]


@pytest.mark.parametrize(
    "answer",
    [
        "`resample` has no parameter `ratio`.",
        "There is no parameter named `ratio` in resample.",
        "There is no `ratio` parameter.",
        "No such parameter exists.",
        "The function resample does not have a parameter called ratio.",
        "resample doesn't take a `ratio` argument.",
        "`ratio` is not a parameter of `resample`.",
        "ratio isn't a valid argument for this function.",
        "The parameter `ratio` does not exist.",
        "`ratio` is not mentioned in the documentation.",
        "The documentation does not mention `ratio`.",
        "The passage doesn't say anything about ratio.",
        "The signature does not include ratio.",
        "I don't know.",
        "I couldn't find a parameter with that name.",
        "I'm sorry, but I cannot answer that.",
        "Sorry, I am not able to find `ratio`.",
        "It is not possible to tell: `ratio` is not listed among the parameters.",
        "`resample` does not accept `ratio`.",
        "Unknown parameter: ratio.",
        "That's not a parameter of this function.",
        "There isn't enough information; resample lacks a ratio parameter.",
        "The default value cannot be determined.",
    ],
)
def test_refusals_are_recognised_in_many_words(answer: str) -> None:
    result = score(UNKNOWN, answer)
    assert (result.score, result.correct, result.refused, result.refusal_expected) == (1.0, True, True, True)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "`ratio` defaults to `1.0`.",
        "The default value of `ratio` in `resample` is `None`.",
        "`ratio` is the ratio of the new length to the old one.",
        "`ratio` has no default value; it is required.",
        "If `ratio` is not given, the length is kept.",
        "`resample` has no parameter `ratio`. The default value of ratio is 2.",
    ],
)
def test_an_answer_about_a_parameter_that_does_not_exist_is_wrong(answer: str) -> None:
    result = score(UNKNOWN, answer)
    assert (result.score, result.correct) == (0.0, False)
    assert result.facts_invented == int(bool(answer))


@pytest.mark.parametrize(
    ("facts", "answer", "right"),
    [
        (OBJECT, "The documentation does not describe `Client.send`; it is about `resample`.", True),
        (OBJECT, "The passage says nothing about `Client.send`: it is not documented here.", True),
        (OBJECT, "I can't tell what `Client.send` does.", True),
        (OBJECT, "`Client.send` is not mentioned in the documentation.", True),
        (OBJECT, "`Client.send` resamples a signal along an axis.", False),
        (OBJECT, "There is no information about `Client.send`.", True),
        (OBJECT, "It takes `x`, `size` and `axis`.", False),
        (OBJECT, "`Client.send` does not take any parameters.", False),
        (OBJECT, "`Client.send` does not require any arguments.", False),
        (OBJECT, "`Client.send` sends the data; the text does not have to be encoded.", False),
        (OBJECT, "`Client.send` is not described here, but it sends the data.", False),
        (SILENT, "The documentation does not say what `ratio` means.", True),
        (SILENT, "There is no description of `ratio`.", True),
        (SILENT, "`ratio` is not described in the documentation.", True),
        (SILENT, "`ratio` is the ratio of the new length to the old one.", False),
        (SILENT, "The documentation does not have a description of `ratio`.", True),
        (SILENT, "The docstring does not have any information about `ratio`.", True),
        (SILENT, "There is no parameter description for `ratio` in the passage.", True),
        (SILENT, "`resample` has no parameter `ratio`.", False),
        (SILENT, "`resample` has no `ratio` parameter.", False),
        (SILENT, "`resample` does not support a `ratio` parameter.", False),
        (SILENT, "`ratio` is not accepted by `resample`.", False),
        (SILENT, "`ratio` does not appear in the signature.", False),
        (SILENT, "The signature does not include a parameter named `ratio`.", False),
        (SILENT, "Unknown parameter `ratio`.", False),
        (SILENT, "`ratio` is not a parameter of `resample`.", False),
    ],
)
def test_what_the_passage_does_not_tell_must_be_refused(facts: dict[str, Any], answer: str, right: bool) -> None:
    result = score(facts, answer)
    assert (result.score, result.correct, result.refusal_expected) == (float(right), right, True)
    assert result.facts_invented == int(not right)


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        (AUTO, "`fit` has no parameter `solver`."),
        (AUTO, "There is no parameter called solver. solver defaults to 'auto'."),
        (MEANING, "`mean` has no parameter `axis`. Axis along which the means are computed."),
        (SUMMARY, "I am sorry, I cannot tell."),
        (LISTED, "I don't know the parameters of this function."),
        (RAISES, "I do not have enough information."),
        (CALL, "I can't show an example."),
        (SUMMARY, "The documentation does not describe `mean`; it is about `fit`."),
        (MEANING, "The documentation does not say what `axis` means."),
        (AUTO, "The passage does not mention a default for `solver`."),
    ],
)
def test_refusing_what_can_be_answered_is_over_refusal(facts: dict[str, Any], answer: str) -> None:
    result = score(facts, answer)
    assert (result.score, result.correct, result.over_refusal) == (0.0, False, True)


@pytest.mark.parametrize(
    "answer",
    [
        "The number of samples; if `axis` is not given, the array is flattened.",
        "`axis` is not used when the array is flat.",
        "The axis to use. It has no effect on scalars.",
        "If axis is not specified, all elements are used.",
        "`axis` does not change the result.",
    ],
)
def test_benign_negations_are_no_refusals(answer: str) -> None:
    assert not is_refusal(answer, "axis")


@pytest.mark.parametrize(
    ("default", "answer", "right"),
    [
        ("'auto'", "`solver` defaults to `'auto'`.", True),
        ("'auto'", 'The default is "auto".', True),
        ("'auto'", "The default value of solver is auto.", True),
        ("'auto'", "`auto`", True),
        ("'auto'", "'lbfgs'", False),
        ("'auto'", "It is a string.", False),
        ("'none'", "It defaults to none.", True),
        ("None", "The default value of `solver` in `fit` is `None`, which means that all are used.", True),
        ("None", "none", True),
        ("None", "It defaults to 'None'.", False),
        ("True", "It is True by default. If False, nothing is copied.", True),
        ("True", "`solver` is a `bool` that defaults to `True`.", True),
        ("True", "If False, nothing is copied; the value is True by default.", True),
        ("True", "False is the default, True is an option.", False),
        ("True", "1", False),
        ("1", "True", False),
        ("1", "1.0", True),
        ("1e-05", "The default tolerance is 0.00001.", True),
        ("-1", "solver=-1", True),
        ("-1", "It defaults to 1.", False),
        ("(0, 1)", "The default is (0, 1).", True),
        ("(0, 1)", "`(0,1)`", True),
        ("()", "It defaults to `()`.", True),
        ("np.float64", "`solver` defaults to `np.float64`.", True),
        ("np.float64", "The default is float64.", False),
        ("np.float64", "The default is `float64`.", True),
        ("3", "One of 1, 2, 3, 4 or 5.", False),
        ("3", "fit(x, a=1, solver=3, b=2)", True),
    ],
)
def test_defaults_are_compared_as_values(default: str, answer: str, right: bool) -> None:
    assert score({**AUTO, "default": default}, answer).correct is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("`x` has no default value; it is required.", True),
        ("x is required.", True),
        ("It does not have a default.", True),
        ("You must pass it: x is a required argument.", True),
        ("The documentation does not specify a default value.", True),
        ("`x` defaults to `None`.", False),
        ("The default value of `x` is 3.", False),
        ("x is a matrix.", False),
        ("`fit` has no parameter `x`.", False),
    ],
)
def test_a_required_parameter_has_no_default(answer: str, right: bool) -> None:
    assert score(REQUIRED, answer).correct is right


@pytest.mark.parametrize(
    ("answer", "right", "invented"),
    [
        ("It takes `x`, `n_iter` and `**kwargs`.", 3, 0),
        ("The parameters of `fit` are x, n_iter and kwargs.", 3, 0),
        ("1. `x`: the data\n2. `n_iter`: how often\n3. `kwargs`: the rest", 3, 0),
        ("- x (array): the data\n- n_iter (int): how often\n- **kwargs: more", 3, 0),
        ("x: the data\nn_iter: how often\nkwargs: the rest", 3, 0),
        ("fit(x, n_iter=10, **kwargs)", 3, 0),
        ("`fit(self, x, n_iter=10, **kwargs)`", 3, 0),
        ("`x` (`int`), `n_iter` (`int`) and `kwargs`", 3, 0),
        ("It takes `x` and `n_iter`.", 2, 0),
        ("It takes `x`, `n_iter`, `kwargs` and `tol`.", 3, 1),
        ("It takes `a` and `b`.", 0, 2),
        ("A matrix.", 0, 0),
    ],
)
def test_parameter_lists_are_read_in_many_forms(answer: str, right: int, invented: int) -> None:
    result = score(LISTED, answer)
    assert (result.facts_right, result.facts_invented) == (right, invented)
    assert result.correct == (right == 3 and invented == 0)
    assert (result.score == 1.0) == result.correct


def test_a_parameter_may_be_called_like_its_function_or_like_a_type() -> None:
    facts = {"task": "parameters", "function": "shift", "parameters": ["shift", "object"]}
    assert score(facts, "It takes `shift` and `object`.").correct


@pytest.mark.parametrize(
    "answer", ["It takes no parameters.", "None.", "now() does not take any arguments.", "no arguments"]
)
def test_no_parameters(answer: str) -> None:
    assert score(NOTHING, answer).correct
    assert not score(NOTHING, "It takes `tz`.").correct


@pytest.mark.parametrize(
    ("answer", "right", "invented"),
    [
        ("It can raise `ValueError` and `NotFitted`.", 2, 0),
        ("Raises ValueError if x is empty, and sklearn.NotFitted before fitting.", 2, 0),
        ("`ValueError`", 1, 0),
        ("ValueError, NotFitted or TypeError", 2, 1),
        ("It raises an exception.", 0, 0),
    ],
)
def test_exceptions(answer: str, right: int, invented: int) -> None:
    result = score(RAISES, answer)
    assert (result.facts_right, result.facts_invented) == (right, invented)
    assert result.correct == (right == 2 and invented == 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("```python\nmodel.fit(x)\n```", 1.0),
        ("```python\nimport pkg\n\nm = pkg.fit(\n    [1, 2],\n    n=3,\n)\n```", 1.0),
        (">>> fit(x, n=3)", 1.0),
        ("You call it with `fit(x)`.", 1.0),
        ("Just write pkg.fit(x, 2) to run it.", 1.0),
        ("fit(*args)", 1.0),
        ("fit(x, steps=3)", 0.5),
        ("fit()", 0.5),
        ("fit(x", 0.0),
        ("train(x)", 0.0),
        ("The function fits a model.", 0.0),
    ],
)
def test_example_calls(answer: str, expected: float) -> None:
    result = score(CALL, answer)
    assert result.score == expected
    assert result.correct == (expected == 1.0)


def test_free_text_is_judged_by_content_in_ones_own_words() -> None:
    assert score(SUMMARY, "The `resample` function resamples the signal along a given axis.").correct
    assert score(MEANING, "The `axis` parameter specifies the axis along which the mean is computed.").correct
    assert score(MEANING, "It is the axis along which the means are computed. " + "It is a number. " * 8).correct
    assert not score(SUMMARY, "Compute the inverse of a matrix.").correct
    assert score(SUMMARY, "Compute the inverse of some matrix.").facts_invented == 1
    assert score(SUMMARY, SUMMARY["reference"]).score == 1.0
    assert F1_THRESHOLD == 0.5


def test_a_reference_that_sounds_like_a_refusal_is_no_refusal() -> None:
    facts = {**MEANING, "reference": "If True, axis is not a valid argument and raises."}
    result = score(facts, facts["reference"])
    assert result.correct
    assert not result.refused


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        (AUTO, "`solver` defaults to `'auto'`. The documentation does not explain why."),
        (SUMMARY, SUMMARY["reference"] + " The documentation does not mention other cases."),
        (NOTHING, "The signature does not list any parameters."),
        (
            RAISES,
            "It raises " + " and ".join(f"`{n}`" for n in RAISES["exceptions"]) + " if a key is not found in the text.",
        ),
    ],
)
def test_a_right_answer_that_speaks_of_a_silent_source_is_right(facts: dict[str, Any], answer: str) -> None:
    result = score(facts, answer)
    assert result.correct and not result.refused


def test_length_and_recital_cost() -> None:
    right = "`solver` defaults to `'auto'`."
    long = right + " word" * MAX_WORDS
    assert not score(AUTO, long).correct
    assert 0.0 < score(AUTO, long).score < 1.0
    recited = score(AUTO, "def pkg.fit(x, solver='auto')\n\n" + right)
    assert not recited.correct
    assert recited.score <= 0.5


@pytest.mark.parametrize("facts", [{}, {"task": "own"}, {"task": "raises"}])
def test_facts_that_cannot_be_scored_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="task"):
        score(facts, "anything")


_PIECES = st.sampled_from(
    ["`x`", "`ratio`", "no parameter", "defaults to", "None", "1", "(", ")", "fit(", "fit(x)", "```python\n", "```", "\n",
     "- ", "x: y", "ValueError", "does not", "'auto'", ",", "and", ".", "*", "\\", "[", "the axis"]
)  # fmt: skip


@given(st.sampled_from(ALL_FACTS), st.one_of(st.text(), st.lists(_PIECES, max_size=30).map(" ".join)))
def test_any_answer_has_a_score_between_0_and_1(facts: dict[str, Any], answer: str) -> None:
    result = score(facts, answer)
    assert 0.0 <= result.score <= 1.0
    assert 0 <= result.facts_right <= result.facts_expected
    assert result.facts_invented >= 0
    assert result == score(facts, answer)
    assert not result.correct or result.score == 1.0 or facts["task"] in ("summary", "parameter_meaning")
    assert result.refusal_expected == (facts["task"] in REFUSAL_TASKS)


@given(st.sampled_from(ALL_FACTS), st.sampled_from(["", " ", "\n\t"]))
def test_an_empty_answer_scores_nothing(facts: dict[str, Any], answer: str) -> None:
    result = score(facts, answer)
    assert (result.score, result.correct, result.facts_invented) == (0.0, False, 0)
