"""Documents for the tests of this stage: hand-written ones in three styles, and real ones read from numpy's source."""

import ast
import hashlib
import inspect
from functools import cache
from pathlib import Path

import pyarrow as pa

from ddd_llm.instructions.candidates import CandidateConfig, candidates
from ddd_llm.instructions.docstrings import MEDIA_TYPE

NUMPYDOC = """def pkg.stats.resample(x, size=None, *, method='linear', axis=-1, **kwargs)

Resample a signal along an axis.

Longer text that says more.

Parameters
----------
x : array_like
    The signal to
    resample. It may have any shape.
size, method : optional
    Shared words.
axis : int, optional
    Axis along which the signal runs.

Returns
-------
out : ndarray
    The resampled signal.

Raises
------
ValueError
    If `size` is negative.
numpy.linalg.LinAlgError
    If nothing works.

Examples
--------
>>> import pkg
>>> out = pkg.stats.resample([1, 2], 4)  # doctest: +SKIP
"""

GOOGLE = """class pkg.net.Client(host: str, port: int=80, retries: int=3)

Talks to one server, e.g. a local one. Keeps a pool.

Args:
    host (str): Name of the server
        to talk to.
    port (int, optional): Port to open on the server. Defaults to 80.
    retries: How often a request is tried.

Returns:
    dict: The decoded answer of the server.

Raises:
    ConnectionError: If the server is away.

Example:

    >>> client = Client("localhost", port=8080)
"""

REST = """def pkg.net.Client.send(self, data: bytes, timeout: float=1.5) -> int

Send ``data`` to the :class:`~pkg.net.Server`.

:param data: the bytes that are sent
 in one piece
:param float timeout: seconds to wait for the answer.
:returns: number of bytes that were written.
:raises TimeoutError: when the server is silent.
"""

LOCATORS = {
    "pkg.stats:resample": NUMPYDOC,
    "pkg.net:Client": GOOGLE,
    "pkg.net:Client.send": REST,
}


def digest(text: str) -> str:
    """Id of a test document."""
    return hashlib.sha256(text.encode()).hexdigest()


def table(documents: dict[str, str], batch: str = "b1", media_type: str = MEDIA_TYPE) -> pa.Table:
    """Curated documents from a map of locator to text."""
    rows = [
        {"id": digest(locator + text), "locator": locator, "batch": batch, "media_type": media_type, "text": text}
        for locator, text in documents.items()
    ]
    columns = ["id", "locator", "batch", "media_type", "text"]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in columns]))


def no_pairs() -> pa.Table:
    """An empty table of near-duplicate pairs."""
    return pa.table(
        {
            "left_id": pa.array([], pa.string()),
            "right_id": pa.array([], pa.string()),
            "jaccard": pa.array([], pa.float64()),
        }
    )


@cache
def real_candidates(per_document: int, closed_book_share: float) -> pa.Table:
    """Candidates of the real documents; made once for all tests."""
    config = CandidateConfig(per_document=per_document, closed_book_share=closed_book_share)
    return candidates(real_documents(), config).table


@cache
def real_documents() -> pa.Table:
    """Docstrings of the functions of some numpy modules, in the form that ingest gives them."""
    import numpy as np

    root = Path(np.__file__).parent
    documents: dict[str, str] = {}
    for path in sorted([*root.glob("lib/_*_impl.py"), *root.glob("polynomial/cheb*.py"), *root.glob("fft/*.py")]):
        module = "numpy." + ".".join(path.relative_to(root).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            text = ast.get_docstring(node, clean=False) if isinstance(node, ast.FunctionDef) else None
            if isinstance(node, ast.FunctionDef) and text:
                line = f"def {module}.{node.name}({ast.unparse(node.args)})"
                documents[f"{module}:{node.name}"] = f"{line}\n\n{inspect.cleandoc(text)}"
    return table(documents)
