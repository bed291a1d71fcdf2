"""The programmatic score of one answer: facts right, facts invented, refusals right, over-refusal.

Here belongs what counts as right for each task, given the `facts` that the generator wrote beside the question. Here
does not belong the reading of free text (`answer_reading`), nor anything about models or statistics. Pure and
deterministic.

`facts` by task:

- `summary`, `parameter_meaning`, `returns`: `function`, `reference`, (`parameter`). Score: F1 of content words against
  the reference (as SQuAD, Rajpurkar et al. 2016, section 6.1, after stop words, framing words and the names asked about
  are left out and endings cut), of the whole answer or of its first sentence, whichever is better; correct from
  `F1_THRESHOLD`.
- `parameters`: `function`, `parameters`. Score: F1 of names; correct when exactly the names of the signature are
  listed.
- `default_value`: `function`, `parameter`, `default` (source text; null: the parameter is required). Correct when the
  first value that the answer states as the default equals it as a Python literal.
- `raises`: `exceptions`. Score: F1 of names; correct when exactly those are named.
- `example`: `function`, `parameters` (null: unknown), `required`, `open_keywords`. Correct when the answer holds Python
  that calls the function, with no keyword it lacks and nothing required left out; half the score for a call that does
  not fit.
- `unknown_parameter`: `function`, `parameter`. Correct when the answer refuses, and does not state a default all the
  same.
- `unknown_object`: `object`. Correct when the answer refuses.
- `undescribed_parameter`: `parameter`. Correct when the answer refuses, and does not deny that there is such a parameter.

Reciting the passage, which holds the facts, is no answer: an answer of more than `MAX_WORDS` words, or one that repeats
the passage's signature line, is never correct, and its score shrinks in proportion or by half.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ddd_llm.evaluation.answer_reading import (
    code_calls,
    content_words,
    denies_existence,
    exception_names,
    is_refusal,
    knows_nothing_of,
    literal,
    name_lists,
    normalise,
    overlap_f1,
    recites,
    same_value,
    source_is_silent,
    values,
)
from ddd_llm.instructions.prose import first_sentence, plain
from ddd_llm.instructions.usage import fit_call

F1_THRESHOLD = 0.5
"""Word F1 from which a free-text answer counts as correct."""
INVENTED_BELOW = 0.1
"""Word F1 under which a free-text answer counts as one invented fact: it speaks of something else."""
MAX_WORDS = 80

_TYPES = frozenset(
    re.findall(
        r"\w+",
        "int float str bool bytes list tuple dict set callable object array_like array ndarray tensor string integer "
        "boolean none true false optional any function class method type sequence iterable",
    )
)
_NO_DEFAULT = re.compile(
    r"\bno default|\bnot have (?:an? |any )?default|\bwithout (?:an? |any )?default|"
    r"\b(?:is|are) (?:required|mandatory)|"
    r"\brequired (?:parameter|argument)|\bmust be (?:given|provided|specified|supplied|passed|set)|"
    r"\bdefault(?: value)?(?: \S+){0,6} (?:is|was) not (?:specified|given|provided|set|defined|stated|mentioned)|"
    r"\bnot (?:specify|provide|define|give|state|mention|set) (?:an? |any |the |its )?default"
)
_DEFAULT_WORD = re.compile(r"\bdefault(?:s|ed)?\b", re.IGNORECASE)
_VALUE_FIRST = re.compile(r"\b(?:by|(?:is|as) (?:the|its|a)) default\b", re.IGNORECASE)
_STATES_DEFAULT = re.compile(
    r"\bdefaults to (?!no\b)|\bdefault(?: value)?(?: (?:of|for|in) \S+){0,2} (?:is|=) (?!not\b|no\b|required)"
)
_NO_PARAMETERS = re.compile(
    r"\b(?:no|zero|without(?: any)?) (?:\w+ ){0,2}(?:parameters?|arguments?|inputs?)|\bnot (?:\w+ )?any(?: \w+)? "
    r"(?:parameters?|arguments?|inputs?)|^(?:none|nothing)\b|\b(?:takes|accepts|has) (?:none|nothing)\b|"
    r"\bparameterless\b"
)


@dataclass(frozen=True)
class Score:
    """Score of one answer.

    Attributes:
        score: in [0, 1].
        facts_expected: checkable facts that the right answer holds.
        facts_right: how many of them the answer holds.
        facts_invented: facts that it states and that are not so.
        refusal_expected: whether the right answer is a refusal.
        refused: whether the answer refuses; with `refusal_expected` false that is an over-refusal.
        correct: the answer as a whole counts as right.
    """

    score: float
    facts_expected: int
    facts_right: int
    facts_invented: int
    refusal_expected: bool
    refused: bool
    correct: bool

    @property
    def over_refusal(self) -> bool:
        return self.refused and not self.refusal_expected


def score(facts: Mapping[str, Any], answer: str) -> Score:
    """Score an answer against the facts of its example.

    Raises:
        ValueError: `facts` names no task that can be scored, or lacks a key of its task.
    """
    scorer = _SCORERS.get(facts.get("task", ""))
    if scorer is None:
        raise ValueError(f"no scorer for task {facts.get('task')!r}; known are {sorted(_SCORERS)}")
    try:
        result = scorer(facts, answer)
    except KeyError as missing:
        raise ValueError(f"facts of task {facts['task']!r} lack {missing}") from None
    if not (result.refusal_expected or result.facts_right or result.correct) and source_is_silent(
        first_sentence(answer)
    ):
        result = _over_refusal(result.facts_expected)  # it says that the passage does not tell what it does tell
    length = len(answer.split())
    share = min(1.0, MAX_WORDS / length if length else 1.0) * (0.5 if recites(answer) else 1.0)
    return result if share == 1.0 else replace(result, score=result.score * share, correct=False)


def _free_text(facts: Mapping[str, Any], answer: str) -> Score:
    reference, parameter = facts["reference"], facts.get("parameter")
    if _over_refuses(answer, parameter, reference):
        return _over_refusal(1)
    names = [facts["function"], *([parameter] if parameter else [])]
    wanted = content_words(reference, names)
    readings = (answer, first_sentence(plain(answer.strip().partition("\n\n")[0])))
    overlap = max(overlap_f1(wanted, content_words(reading, names)) for reading in readings)
    right = overlap >= F1_THRESHOLD
    invented = bool(answer.strip()) and overlap < INVENTED_BELOW
    return Score(overlap, 1, int(right), int(invented), False, False, right)


def _parameters(facts: Mapping[str, Any], answer: str) -> Score:
    expected = {name.lstrip("*") for name in facts["parameters"]}
    if _over_refuses(answer, None, ""):
        return _over_refusal(max(1, len(expected)))
    readings = [_claimed(names, expected, facts["function"]) for names in name_lists(answer, facts["function"])]
    marked = max(map(len, readings[:-1]))  # the last reading, plain words after a verb, finds words in any sentence
    if not expected:
        right = _NO_PARAMETERS.search(normalise(answer)) is not None
        return Score(float(right), 1, int(right), 0 if right else marked, False, False, right)
    best = max((_set_score(expected, claimed) for claimed in readings), key=lambda s: (s.score, -s.facts_invented))
    return best if best.facts_right else replace(best, facts_invented=marked)


def _claimed(names: Iterable[str], expected: set[str], function: str) -> set[str]:
    """Names claimed to be parameters: the function itself, a receiver and words for types are no claims, unless
    right."""
    silent = _TYPES | {function.lower(), "self", "cls"}
    return {name for name in names if name in expected or name.lower() not in silent}


def _raises(facts: Mapping[str, Any], answer: str) -> Score:
    expected = set(facts["exceptions"])
    if _over_refuses(answer, None, ""):
        return _over_refusal(len(expected))
    return _set_score(expected, exception_names(answer, expected))


def _set_score(expected: set[str], claimed: set[str]) -> Score:
    right, invented = len(expected & claimed), len(claimed - expected)
    f1 = 2 * right / (len(expected) + len(claimed)) if right else 0.0
    return Score(f1, len(expected), right, invented, False, False, claimed == expected)


def _default_value(facts: Mapping[str, Any], answer: str) -> Score:
    expected, parameter, function = facts["default"], facts["parameter"], facts["function"]
    if _over_refuses(answer, parameter, "") and not (expected is None and _NO_DEFAULT.search(normalise(answer))):
        return _over_refusal(1)
    claims = _value_claims(answer, parameter, function)
    if expected is None:
        told = _NO_DEFAULT.search(normalise(answer)) is not None or source_is_silent(answer)
        right = told and _STATES_DEFAULT.search(normalise(answer)) is None
        return Score(float(right), 1, int(right), int(not right and bool(claims)), False, False, right)
    if not claims:
        right = _bare_mention(expected, answer, (parameter, function))
        return Score(float(right), 1, int(right), 0, False, False, right)
    right = same_value(expected, claims[0])
    others = len({claim for claim in claims[1:] if not same_value(expected, claim)})
    listing = others > 2
    share = float(right) / (1 + others) if listing else float(right)
    return Score(share, 1, int(right), others if listing else int(not right), False, False, right and not listing)


def _value_claims(answer: str, parameter: str, function: str) -> list[str]:
    """Values that an answer states, those after the word `default` first; names asked about and types are none."""
    assigned = re.search(rf"\b{re.escape(parameter)}\s*=\s*(.+)", answer)
    if assigned and (first := values(assigned.group(1).replace("`", " "))):
        return first[:1]
    answer = answer.replace(f"`{parameter}`", " ")
    at = _DEFAULT_WORD.search(answer)
    before, after = (values(answer[: at.start()]), values(answer[at.end() :])) if at else ([], values(answer))
    ordered = [*reversed(before), *after] if _VALUE_FIRST.search(answer) else [*after, *before]
    names = {parameter, function}
    return [
        v
        for v in ordered
        if v not in names
        and v.lower() not in _TYPES - {"none", "true", "false"}
        and not v.endswith(f".{function}")
        and not v.startswith(f"{function}(")
    ]


def _bare_mention(expected: str, answer: str, names: Iterable[str]) -> bool:
    """Whether an answer without any marked value says the default as a plain word (`the default is auto`)."""
    wanted = literal(expected)
    word = wanted if isinstance(wanted, str) else expected
    for name in names:
        answer = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", answer)
    return re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", answer) is not None


def _example(facts: Mapping[str, Any], answer: str) -> Score:
    if _over_refuses(answer, None, ""):
        return _over_refusal(1)
    calls = code_calls(answer, facts["function"])
    fits = [fit_call(call, facts["parameters"], facts["required"], facts["open_keywords"]) for call in calls]
    if not fits:
        return Score(0.0, 1, 0, 0, False, False, False)
    best = min(fits, key=lambda fit: (not fit.fits, fit.unknown_keywords))
    return Score(1.0 if best.fits else 0.5, 1, int(best.fits), best.unknown_keywords, False, False, best.fits)


def _unknown_parameter(facts: Mapping[str, Any], answer: str) -> Score:
    refused = is_refusal(answer, facts["parameter"]) or source_is_silent(answer)
    right = refused and _STATES_DEFAULT.search(normalise(answer)) is None
    return Score(float(right), 1, int(right), int(not right and bool(answer.strip())), True, refused, right)


def _unknown_object(facts: Mapping[str, Any], answer: str) -> Score:
    refused = knows_nothing_of(answer, facts["object"])
    return Score(float(refused), 1, int(refused), int(not refused and bool(answer.strip())), True, refused, refused)


def _undescribed_parameter(facts: Mapping[str, Any], answer: str) -> Score:
    refused = is_refusal(answer, facts["parameter"]) or source_is_silent(answer)
    right = refused and not denies_existence(answer, facts["parameter"])
    return Score(float(right), 1, int(right), int(not right and bool(answer.strip())), True, refused, right)


def _over_refuses(answer: str, parameter: str | None, reference: str) -> bool:
    return is_refusal(answer, parameter) and not is_refusal(reference, parameter)


def _over_refusal(expected: int) -> Score:
    return Score(0.0, expected, 0, 0, False, True, False)


_SCORERS: Mapping[str, Callable[[Mapping[str, Any], str], Score]] = {
    "summary": _free_text,
    "parameter_meaning": _free_text,
    "returns": _free_text,
    "parameters": _parameters,
    "default_value": _default_value,
    "raises": _raises,
    "example": _example,
    "unknown_parameter": _unknown_parameter,
    "unknown_object": _unknown_object,
    "undescribed_parameter": _undescribed_parameter,
}
