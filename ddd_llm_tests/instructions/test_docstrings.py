"""Parsing of docstring documents."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.instructions.docstrings import ApiDoc, parse_api_doc
from ddd_llm.instructions.prose import first_sentence, plain
from ddd_llm.instructions.signatures import parse_signature
from ddd_llm_tests.instructions.samples import GOOGLE, LOCATORS, NUMPYDOC, REST


def parsed(text: str, locator: str) -> ApiDoc:
    doc = parse_api_doc(text, locator)
    assert doc is not None
    return doc


def test_numpydoc_is_read_whole() -> None:
    doc = parsed(NUMPYDOC, "pkg.stats:resample")
    assert (doc.kind, doc.module, doc.qualname) == ("function", "pkg.stats", "resample")
    assert doc.summary == "Resample a signal along an axis."
    parameters = {p.name: p for p in doc.parameters or ()}
    assert list(parameters) == ["x", "size", "method", "axis", "kwargs"]
    assert parameters["method"].default == "'linear'"
    assert parameters["axis"].default == "-1"
    assert parameters["x"].default is None
    assert parameters["x"].description == "The signal to resample. It may have any shape."
    assert parameters["size"].description is None  # shared by two names: it says nothing of one
    assert parameters["kwargs"].display == "**kwargs"
    assert [(r.name, r.type, r.description) for r in doc.returns] == [("out", "ndarray", "The resampled signal.")]
    assert [r.name for r in doc.raises] == ["ValueError", "LinAlgError"]
    assert [e.code for e in doc.examples] == ["out = pkg.stats.resample([1, 2], 4)"]


def test_google_class_carries_its_constructor() -> None:
    doc = parsed(GOOGLE, "pkg.net:Client")
    assert doc.kind == "class"
    assert doc.summary == "Talks to one server, e.g. a local one."
    parameters = {p.name: p for p in doc.parameters or ()}
    assert parameters["host"].description == "Name of the server to talk to."
    assert parameters["port"].type == "int"
    assert parameters["retries"].default == "3"
    assert doc.returns[0].type == "dict"
    assert [r.name for r in doc.raises] == ["ConnectionError"]
    assert doc.examples[0].code == 'client = Client("localhost", port=8080)'


def test_rest_fields_and_roles() -> None:
    doc = parsed(REST, "pkg.net:Client.send")
    assert doc.kind == "method"
    assert doc.short == "Client.send"
    assert doc.summary == "Send `data` to the `Server`."
    parameters = {p.name: p for p in doc.parameters or ()}
    assert list(parameters) == ["data", "timeout"]  # no self
    assert parameters["data"].description == "the bytes that are sent in one piece"
    assert doc.returns[0].description == "number of bytes that were written."
    assert [r.name for r in doc.raises] == ["TimeoutError"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("class a.B(Base)", None),
        ("class a.B(Base, metaclass=ABCMeta)", None),
        ("class a.B(nn.Module)", None),
        ("class a.B(Generic[T])", None),
        ("class a.B", None),
        ("class a.B()", []),
        ("class a.B(x, y=1)", ["x", "y"]),
        ("class a.B(Data: int)", ["Data"]),
        ("def a.b(cls, /, p, *args, q: int=3, **rest) -> dict[str, int]", ["p", "args", "q", "rest"]),
        ("async def a.b(x=(1, 2))", ["x"]),
        ("def a.b(x=", None),
    ],
)
def test_parameters_are_known_only_where_the_line_tells_them(line: str, names: list[str] | None) -> None:
    signature = parse_signature(line)
    assert signature is not None
    assert (None if signature.arguments is None else [a.name for a in signature.arguments]) == names


@pytest.mark.parametrize("line", ["", "import os", "def ", "definitely a.b()", "def 1a.b()", "x = def a.b()"])
def test_other_lines_are_no_signature(line: str) -> None:
    assert parse_signature(line) is None


def test_a_text_that_names_another_object_is_refused() -> None:
    assert parse_api_doc(NUMPYDOC, "pkg.stats:other") is None
    assert parse_api_doc(NUMPYDOC, "pkg.stats") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One thing. Another.", "One thing."),
        ("Uses e.g. This one. Then more.", "Uses e.g. This one."),
        ("Wrap it (see Fig. 2. Or 3) now. Then more.", "Wrap it (see Fig. 2. Or 3) now."),
        ("Version 1.5 of it", "Version 1.5 of it"),
        ("", ""),
    ],
)
def test_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_markup_is_cleaned() -> None:
    marked = "See :func:`~a.b.c`, ``code``, `text <http://x>`__ and [this](http://y) [1]_."
    assert plain(marked) == "See `c`, `code`, text and this."


_LINES = st.sampled_from(
    ["Parameters", "----------", "Args:", "    x (int): a.", ":param x: b", ":raises E:", "Returns", "x : int", "    d",
     ">>> f(", ">>> f(1)", "```", "```python", "f(2)", "", ".. code-block:: python", "x, y", "- item", "\t", "Raises:"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_LINES).map("\n".join)), st.text(alphabet=string.printable, max_size=40))
def test_no_text_raises(body: str, arguments: str) -> None:
    for head in (f"def m.f({arguments})", f"class m.f({arguments})", arguments):
        doc = parse_api_doc(f"{head}\n\n{body}", "m:f")
        if doc is not None:
            spans = [p.span for p in doc.parameters or () if p.span] + [r.span for r in (*doc.returns, *doc.raises)]
            assert all(0 <= first < last <= len(doc.lines) for first, last in spans)


@given(st.integers(1, 20_000))
def test_deep_nesting_is_refused_not_raised(depth: int) -> None:
    assert parse_api_doc(f"def m.f(x={'(' * depth})\n\nText.", "m:f") is not None or depth > 19_000


def test_samples_agree_with_their_locators() -> None:
    for locator, text in LOCATORS.items():
        assert parsed(text, locator).full == locator.replace(":", ".")
