"""Reading free-text answers: refusals, words, values, names, code.

Here belongs what any answer may look like, from any model. Here does not belong what counts as right for a task
(`scoring`). All functions are pure, deterministic and never raise on any text.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable

from ddd_llm.instructions.signatures import parse_code
from ddd_llm.instructions.usage import called_name

_THING = r"(?:parameter|argument|arg|keyword|kwarg|option|input|attribute|field)s?"
_SOURCE = (
    r"(?:documentation|docs?|docstring|passage|text|signature|context|information|description|definition|question)"
)
_LACKS = (
    r"(?:have|take|accept|include|contain|define|list|mention|support|provide|specify|document|describe|expect|"
    r"recogni[sz]e|use|show|expose|offer|feature|possess|require)"
)
_STATED = (
    r"(?:mentioned|documented|listed|described|defined|specified|stated|provided|given|present|included|found|shown)"
)
_GENERIC = tuple(
    re.compile(pattern)
    for pattern in (
        r"\bi (?:do|can|could|am|was|have|did|will)(?: \w+)? not\b",
        r"\bi (?:am|was) (?:\w+ )?unable\b|\bunable to (?:answer|find|determine|provide|locate|identify|tell|say)\b",
        r"^(?:\w+[,!.] )?(?:i am |i apologi[sz]e|sorry|apologies)",
        r"\bnot enough (?:information|context|detail)|\binsufficient (?:information|context|detail)",
        r"\b(?:can|could) not be (?:determined|answered|found|known|inferred)\b",
        r"\bimpossible to (?:say|tell|know|answer)\b",
        r"\bno (?:information|mention|documentation|description|details?) (?:is |are |was |were )?"
        r"(?:of|about|on|for|regarding|given|available|provided|here)\b",
        r"\bit is (?:unclear|unknown|not clear|not known|not possible)\b",
    )
)
_SILENT_SOURCE = re.compile(
    rf"\b{_SOURCE}(?: \w+){{0,5}} (?:does|do|did) not (?:\w+ )?(?:{_LACKS}|say|give|state|explain|tell)\b(?! to\b)"
    rf"|\b{_SOURCE}(?: \w+){{0,3}} (?:says?|tells?|gives?|states?) (?:nothing|no)\b|\bnot (?:\w+ )?{_STATED} here\b"
    rf"|\bnot (?:\w+ )?{_STATED} (?:in|by|within|anywhere in) (?:the |this |its |that )?(?:\w+ ){{0,3}}{_SOURCE}\b"
)
_NOT = re.compile(r"\b(is|are|does|do|did|was|were|has|have|had|could|would|should|will|can)n't\b")
_WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    _WORD.findall(
        "a an the of to in on for is are be was were it its this that these those which and or as by with from at if then "
        "function method class parameter argument value used use uses given specifies represents refers means return "
        "returns takes will can should may indicates"
    )
)
_EXCEPTION = re.compile(r"\b(?:\w+\.)*([A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit|Iteration))\b")
_NAME = re.compile(r"\*{0,2}([^\W\d]\w*)")

_NOT_LITERAL = object()


def normalise(text: str) -> str:
    """Lower-case one line without quotes, backticks and asterisks; contractions of `not` spelled out."""
    text = text.replace("\u2019", "'").lower()
    text = re.sub(r"\b(?:cannot|can't)\b", "can not", text)
    text = (
        _NOT.sub(r"\1 not", text).replace("i'm ", "i am ").replace("it's ", "it is ").replace("there's ", "there is ")
    )
    return " ".join(re.sub(r"[`\"*]|(?<!\w)'|'(?!\w)", "", text).split())


def is_refusal(answer: str, parameter: str | None = None) -> bool:
    """Whether an answer refuses: says it cannot tell, or that the parameter asked about does not exist.

    Many phrasings count, not those of the training data alone. Only the first 60 words are read.

    Args:
        answer: the answer.
        parameter: the parameter asked about; None where the question names none, then only an inability to answer
            counts.
    """
    text = " ".join(normalise(answer).split()[:60])
    if any(pattern.search(text) for pattern in _GENERIC):
        return True
    return parameter is not None and denies(text, parameter)


def denies(text: str, parameter: str) -> bool:
    """Whether a normalised text says that the parameter does not exist."""
    name = r"(?<!\w)" + re.escape(normalise(parameter)) + r"(?!\w)"
    gap = r"(?:(?!default\b|effect\b|longer\b|value\b)[\w.()]+,? ){0,6}?"
    patterns = (
        rf"\bno (?:such |known |valid |documented |explicit |specific )*{_THING}(?: (?:is |are )?{gap}{name})",
        rf"\bno (?:such|{name})(?: \w+)? ?{_THING}|\bno {name}|\bno {_THING} (?:called|named|by|with|of) ",
        rf"\b(?:there is|there are|has|have|takes|with) no (?:\w+ )?{_THING} (?:called |named )?{name}",
        rf"{name} (?:{_THING} )?(?:is|does|was|are) not (?:actually |currently |really )?"
        rf"(?:an? |one of |among |any |part of |exist|appear|accepted|supported|recogni[sz]ed|available|known|present|"
        rf"listed|documented|mentioned|defined|included|found|applicable|a )(?!.{{0,15}}\bif\b)",
        rf"{name}.{{0,60}}\b(?:does not exist|not a (?:valid |known |recogni[sz]ed |documented )?{_THING})",
        rf"\b(?:does|do|did) not (?:\w+ )?{_LACKS} {gap}(?:{name}|{_THING} (?:called |named )?{name})",
        rf"\b(?:does|do|did) not (?:\w+ )?{_LACKS} (?:an? |any |such |the |this |that )+(?:\w+ )?{_THING}\b(?! if)",
        rf"\b(?:unknown|unrecogni[sz]ed|non-?existent|invalid|undefined|unexpected|unsupported) (?:keyword )?{_THING}",
        rf"\bnot (?:an? |one of |among |any of )?(?:the |its |a )?"
        rf"(?:valid |known |listed |documented |recogni[sz]ed )?{_THING}\b",
        rf"\b(?:without|lacks|missing) (?:an? |any |the )?(?:{_THING} )?(?:called |named )?{name}",
    )
    return any(re.search(pattern, text) for pattern in patterns)


def denies_existence(answer: str, parameter: str) -> bool:
    """Whether an answer says that there is no such parameter, and not merely that nothing describes it."""
    name, thing = r"(?<!\w)" + re.escape(normalise(parameter)) + r"(?!\w)", r"(?:keyword )?(?:parameter|argument)s?"
    patterns = (
        rf"\bno (?:such {thing}|{thing} (?:(?:called|named) )?{name}(?! (?:is|are) {_STATED})|{name} {thing})",
        rf"\bnot (?:have|take|accept|support|expect|use) (?:(?:an?|any|the) )?(?:{thing} )?(?:(?:called|named) )?{name}",
        rf"\bnot (?:include|contain|list) (?:(?:an?|any|the) )?(?:{thing} (?:(?:called|named) )?{name}|{name} {thing})",
        rf"{name} (?:is|was) not (?:an? |one of |among |part of |accepted|supported|recogni[sz]ed|valid)",
        rf"{name} does not (?:exist|appear)",
        rf"\b(?:unknown|invalid|unrecogni[sz]ed|non-?existent) {thing}",
    )
    text = normalise(answer)
    return any(re.search(pattern, text) for pattern in patterns)


def knows_nothing_of(answer: str, name: str) -> bool:
    """Whether an answer says that it, or its source, cannot tell of an object, and goes on to tell nothing of it."""
    text = " ".join(normalise(answer).split()[:60])
    of = r"(?<!\w)" + re.escape(normalise(name)) + r"(?!\w)"
    patterns = (
        _SILENT_SOURCE.pattern,
        rf"\bno (?:\w+ ){{0,4}}{of}|\b(?:nothing|not) about {of}",
        rf"{of} (?:\w+ ){{0,2}}(?:is|was) not (?:\w+ )?(?:{_STATED}|covered|explained|part of)\b",
        rf"\bnot (?:\w+ )?(?:{_LACKS}|cover|explain|discuss) (?:\w+ ){{0,3}}{of}",
    )
    told = any(pattern.search(text) for pattern in _GENERIC) or any(re.search(pattern, text) for pattern in patterns)
    return told and re.search(r"\b(?:but|however|though),? (?:it|this|the \w+) (?!is about\b)", text) is None


def recites(answer: str) -> bool:
    """Whether an answer repeats a passage's signature line, whose dotted name (`def a.b(`) no other text would hold."""
    return re.search(r"^\s*(?:async )?(?:def|class)\s+\w+(?:\.\w+)+\s*\(", answer, re.MULTILINE) is not None


def source_is_silent(answer: str) -> bool:
    """Whether an answer says that the documentation does not tell."""
    return _SILENT_SOURCE.search(normalise(answer)) is not None


def content_words(text: str, leave_out: Iterable[str] = ()) -> Counter[str]:
    """Multiset of stemmed words without function words, framing words and the names in `leave_out`.

    Falls back to all words where nothing else is left. The stem cuts a plural or verb ending, no more.
    """
    names = {part for name in leave_out for part in _WORD.findall(name.lower())}
    every = _WORD.findall(text.lower())
    kept = [_stem(word) for word in every if word not in _STOP and word not in names]
    return Counter(kept or [_stem(word) for word in every])


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def overlap_f1(reference: Counter[str], answer: Counter[str]) -> float:
    """F1 of two multisets of words, in [0, 1]."""
    shared = (reference & answer).total()
    return 2 * shared / (reference.total() + answer.total()) if shared else 0.0


def exception_names(answer: str, expected: Iterable[str]) -> set[str]:
    """Names of exceptions in an answer, by their last part: what looks like one, and whatever is expected."""
    written = set(re.findall(r"\w+", answer))
    return set(_EXCEPTION.findall(answer)) | {name for name in expected if name in written}


def code_calls(answer: str, function: str) -> list[ast.Call]:
    """Calls of `function` in the Python of an answer: its fenced blocks, lines, backtick spans, and calls within
    prose."""
    fenced = re.findall(r"```[a-zA-Z]*\n(.*?)(?:```|\Z)", answer, re.DOTALL)
    blocks = fenced or [answer, *re.findall(r"`([^`\n]+)`", answer)]
    within = re.findall(rf"[\w.]*\b{re.escape(function)}\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", answer)
    pieces = [piece for block in blocks for piece in (block, *block.split("\n"))] + within
    cleaned = (re.sub(r"^\s*(?:>>>|\.\.\.|\$) ?", "", piece, flags=re.MULTILINE).strip() for piece in pieces)
    modules = [parse_code(piece) for piece in dict.fromkeys(cleaned) if f"{function}(" in piece]
    calls = [n for module in modules if module for n in ast.walk(module) if isinstance(n, ast.Call)]
    return [c for c in calls if called_name(c) == function]


def name_lists(answer: str, function: str) -> list[list[str]]:
    """The ways to read an answer as a list of parameter names; each list in order, without repeats, some perhaps empty.

    Ways: bullets, numbered lines and lines `name: ...`; names in backticks; the arguments of a call or signature of
    `function`; a comma-separated list after a colon or a verb.
    """
    bullets = re.findall(r"^\s*(?:[-*\u2022]|\d+[.)])\s+[`*\"']*(\*{0,2}[^\W\d]\w*)", answer, re.MULTILINE)
    heads = re.findall(r"^\s*[`*\"']*(\*{0,2}[^\W\d]\w*)[`*\"']*\s*(?:\([^)\n]*\))?\s*(?:: |- )", answer, re.MULTILINE)
    ticked = [part for span in re.findall(r"`([^`\n]+)`", answer) for part in _split_span(span)]
    match = re.search(rf"{re.escape(function)}\((.*)\)", answer, re.DOTALL)
    called = _signature_names(match.group(1)) if match else None
    tail = re.split(r":|\b(?:are|is|takes?|accepts?|has|have|requires?|expects?)\b", answer, maxsplit=1)[-1]
    items = re.split(r",|\band\b|\n|;", re.split(r"(?<=\w)\.(?:\s|$)", tail)[0])
    firsts = [item.strip(" \"'*.").split() for item in items]
    listed = [words[0] for words in firsts if words]
    return [_names(found) for found in (bullets, heads, ticked, called or [], listed)]


def _split_span(span: str) -> list[str]:
    """Names in one backtick span: `a`, `a=1`, `a: int`, `a, b`, `f(a, b)`."""
    inner = re.fullmatch(r"[\w.]+\((.*)\)", span.strip())
    if inner:
        return _signature_names(inner.group(1)) or []
    return [re.split(r"[=:(\s]", part.strip(), maxsplit=1)[0] for part in span.split(",")]


def _names(found: Iterable[str]) -> list[str]:
    names = [match.group(1) for name in found if (match := _NAME.fullmatch(name.strip("\"' ")))]
    return list(dict.fromkeys(names))


def _signature_names(arguments: str) -> list[str] | None:
    module = parse_code(f"def _f({arguments}): pass")
    if module is None or not isinstance(module.body[0], ast.FunctionDef):
        return None
    a = module.body[0].args
    plain = [x.arg for x in (*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs)]
    return [*plain, a.kwarg.arg] if a.kwarg else plain


def values(answer: str) -> list[str]:
    """Source texts of the values an answer states, in order: backtick and quoted spans, brackets, numbers,
    constants."""
    pattern = (
        r"`([^`\n]+)`|(\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w))|(?<!\w)(\([^()\n]*,[^()\n]*\)|\[[^\[\]\n]*\]|\{[^{}\n]*\})"
        r"|(?<![\w.])([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?j?)(?!\w)|\b(None|True|False|none|true|false)\b"
    )
    return [next(part for part in found if part).strip() for found in re.findall(pattern, answer) if any(found)]


def literal(source: str) -> object:
    """Python value of a literal; `_NOT_LITERAL` where it is none."""
    text = {"none": "None", "true": "True", "false": "False"}.get(source, source)
    module = parse_code(text)
    if module is None:
        return _NOT_LITERAL
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _NOT_LITERAL


def same_value(expected: str, claim: str) -> bool:
    """Whether a claim means the default `expected` (source text): equal literals, or equal names up to their module."""
    wanted, given = literal(expected), literal(claim)
    if isinstance(wanted, str):
        return given == wanted or claim.strip("\"'` ").rstrip(".") == wanted
    if wanted is not _NOT_LITERAL:
        return given is not _NOT_LITERAL and isinstance(given, bool) == isinstance(wanted, bool) and given == wanted
    bare = claim.strip("\"'` ").rstrip(".")
    return "".join(bare.split()) == "".join(expected.split()) or bare == expected.rsplit(".", 1)[-1]
