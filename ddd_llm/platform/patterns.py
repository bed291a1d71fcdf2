"""Regular expressions in files that people edit.

Belongs here: telling at once, with the file, that one of them is none. Does not: how a stage matches with them.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator


def _compile(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return patterns


Patterns = Annotated[tuple[str, ...], AfterValidator(_compile)]
"""Regular expressions, each of which compiles."""
