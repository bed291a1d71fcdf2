"""Plain text: one file, one document, titled by its name. Does not belong here: any markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ddd_llm.corpus.readers.encoding import Text
from ddd_llm.corpus.readers.items import Item, Limits


def read(name: str, source: Text, limits: Limits) -> Iterator[Item]:
    """The document.

    Raises:
        FileFault: those of `Text.whole` and `Text.decode`.
    """
    yield Item(name, PurePosixPath(name).name, source.decode(source.whole(limits.record)), "text/plain")
