"""Small field types that the models of this folder share. Belongs here: what a text or a day must look like, nothing else."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


def _day(value: object) -> object:
    # pydantic would read 20260101 as seconds since 1970.
    if isinstance(value, bool | int | float):
        raise ValueError("a day is written YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day)]
