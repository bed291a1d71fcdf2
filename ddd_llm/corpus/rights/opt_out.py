"""Opt-outs: whether the owner of a document asked that machines do not learn from it.

Belongs here: reservation flags, robots.txt and ai.txt files kept with a source, lists of domains and addresses, joined into one
judgement. Does not belong here: their syntax (`robots`, `addresses`), or reading files (`load`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ddd_llm.corpus.rights.addresses import Address, OptOutList, address, addresses_of
from ddd_llm.corpus.rights.robots import Robots
from ddd_llm.corpus.sources import Governed

Against = tuple[str, str]
OPTED_OUT = "opted_out"


class OptOuts:
    """All opt-outs that hold.

    Args:
        agents: user agents of which none may be shut out.
        lists: the lists of the policy, by name.
        robots: the texts of a source's files, in the order of its record; None for one that cannot be read.
    """

    def __init__(
        self,
        agents: Sequence[str],
        lists: Mapping[str, OptOutList],
        robots: Mapping[str, Sequence[str | None]],
        sources: Sequence[Governed],
    ) -> None:
        self._agents = tuple(dict.fromkeys(agents))
        self._lists = dict(lists)
        self._sites: dict[str, dict[str, list[Robots | None]]] = {}
        for source in sources:
            sites = self._sites.setdefault(source.name, {})
            for file, text in zip(source.robots, robots.get(source.name, [None] * len(source.robots)), strict=True):
                site = address(file.site or source.url_prefix or "")
                sites.setdefault(site.host if site else "", []).append(None if text is None else Robots(text))

    def against(self, source: Governed, locator: str, reserved: bool) -> Against | None:
        """(reason, sentence) why a document may not be learned from, None when nobody asked for that.

        Args:
            reserved: whether a reservation flag of the source or of the document is set.
        """
        if reserved:
            return OPTED_OUT, "its owner reserved text and data mining (tdm_reservation)"
        sites = self._sites.get(source.name, {})
        if not sites and not self._lists:
            return None
        found = addresses_of(locator, source.url_prefix)
        if found is None:
            return "address_unknown", "its address is none that can be compared with opt-outs"
        for name, entries in self._lists.items():
            if any(entries.names(one) for one in found):
                return OPTED_OUT, f"its address is on the opt-out list {name}"
        if not sites:
            return None
        if not found:
            return "address_unknown", "its source keeps robots.txt, and the document's address is not known"
        return next((against for one in found if (against := self._robots(sites, one))), None)

    def _robots(self, sites: Mapping[str, Sequence[Robots | None]], one: Address) -> Against | None:
        if one.host not in sites:
            return "robots_unknown", f"its source keeps robots.txt of other sites, none of {one.host}"
        for file in sites[one.host]:
            if file is None:
                return (
                    OPTED_OUT,
                    f"the robots.txt of {one.host} cannot be read, which shuts out everybody (RFC 9309, 2.3.1.4)",
                )
            asked: set[str] = set()  # agents that obey the same rules need one question
            for agent in self._agents:
                if (group := file.group_of(agent)) in asked:
                    continue
                asked.add(group)
                if not file.allows(agent, one.path):
                    return OPTED_OUT, f"the robots.txt of {one.host} shuts out {agent} there"
        return None
