"""Plain text: one file, one document, titled by its name. Does not belong here: any markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ddd_llm.corpus.readers.encoding import decode_utf8, whole
from ddd_llm.corpus.readers.items import Item, Limits


def read(name: str, blocks: Iterable[bytes], limits: Limits) -> Iterator[Item]:
    """The document.

    Raises:
        FileFault: `document_too_large`, `invalid_utf8`, `truncated`.
    """
    yield Item(name, PurePosixPath(name).name, decode_utf8(whole(blocks, limits.record)), "text/plain")
