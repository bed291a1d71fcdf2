"""Sources, policies and permissions made from a few words, for the tests of this folder and of governance."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ddd_llm.corpus.rights.addresses import OptOutList
from ddd_llm.corpus.rights.consents import ConsentRegister
from ddd_llm.corpus.rights.opt_out import OptOuts
from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.rights.policy import RightsPolicy
from ddd_llm.corpus.sources import Source
from ddd_llm_tests.corpus.helpers import folder_source

TODAY = date(2026, 6, 1)
PROVENANCE: dict[str, Any] = {
    "description": "Notes of the editors",
    "origin_geography": ["DE"],
    "method": {"kinds": ["primary_user_source"], "description": "written by the editors"},
}
POLICY: dict[str, Any] = {"version": 1, "licences": {"allow": ["MIT", "Apache-2.0"], "deny": ["GPL-*"]}}
CONSENT: dict[str, Any] = {
    "id": "C-1", "sources": ["notes"], "purposes": ["training"], "given_on": "2026-01-01", "evidence": "form 1",
}  # fmt: skip


class EMailMask:
    """The least that governance asks of whoever replaces identifiers; `test_pseudonyms` is about the real one."""

    def apply(self, text: str) -> tuple[str, list[str]]:
        found = re.findall(r"\S+@\S+", text)
        return re.sub(r"\S+@\S+", "<EMAIL>", text), found

    def tag(self, text: str) -> str:
        return str(zlib.crc32(text.encode()))


def whole(name: str = "notes", **fields: Any) -> Source:
    """A folder source that nothing is missing from."""
    return folder_source(name, **{"personal_data": False, "provenance": PROVENANCE, **fields})


def permissions(
    sources: Sequence[Source],
    consents: Sequence[Mapping[str, Any]] = (),
    as_of: date | None = TODAY,
    lists: Mapping[str, OptOutList] | None = None,
    agents: Sequence[str] = ("*", "GPTBot"),
    **policy: Any,
) -> Permissions:
    robots = {source.name: [file.text for file in source.robots] for source in sources}
    return Permissions(
        sources,
        RightsPolicy.model_validate({**POLICY, **policy}),
        ConsentRegister.model_validate({"version": 1, "consents": [{**CONSENT, **one} for one in consents]}),
        as_of,
        OptOuts(agents, lists or {}, robots, sources),
    )


def reason(
    source: Source, locator: str = "a.md", consents: Sequence[Mapping[str, Any]] = (), **given: Any
) -> str | None:
    """The reason why a document of a source is held back, None when it is not."""
    found = permissions([source], consents, **given).objection(source.name, locator)
    return found[0] if found else None
