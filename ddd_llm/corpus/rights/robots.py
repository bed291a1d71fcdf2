"""robots.txt (and ai.txt, which has the same form) as RFC 9309 has it: which paths a crawler may visit.

Belongs here: parsing one file and matching one path. Does not belong here: which file speaks for which document
(`opt_out`). The standard library's parser takes the first rule that matches, knows no wildcards and forgets all but one
group of an agent; RFC 9309 wants the longest match, wildcards and merged groups.

Where a file is misspelt in a way that Google's open parser forgives, this one forgives it too: an opt-out that can be
understood is honoured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

_AGENT_KEYS = frozenset({"user-agent", "useragent", "user agent"})
_DISALLOW_KEYS = frozenset({"disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"})
_LINE = re.compile(r"\r\n|\r|\n")
# RFC 9309 has letters, `_` and `-` only; agents of today (AI2Bot) have digits too.
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_WITHOUT_COLON = re.compile(r"(user[- ]?agent|\w+)\s+(.*)", re.IGNORECASE)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT = "/?:@!$&'()*+,;=[]~%"


@dataclass(frozen=True, slots=True)
class Rule:
    """One allow or disallow line; `octets` is the length that decides between rules."""

    allow: bool
    parts: tuple[str, ...]
    anchored: bool
    octets: int

    def matches(self, path: str) -> bool:
        """Whether a normalised path begins with (or, anchored, is) this pattern."""
        first, *rest = self.parts
        if not path.startswith(first):
            return False
        at = len(first)
        if not rest:
            return not self.anchored or at == len(path)
        for part in rest[:-1]:
            found = path.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        last = rest[-1]
        if self.anchored:
            return len(path) - at >= len(last) and path.endswith(last)
        return path.find(last, at) >= 0


class Robots:
    """The rules of one file.

    Source: RFC 9309, sections 2.2.1 (agents), 2.2.2 (longest match, allow wins a tie), 2.2.3 (`*` and `$`).
    """

    def __init__(self, text: str) -> None:
        self._groups: dict[str, list[Rule]] = {}
        self._read(text)
        self._merged = lru_cache(maxsize=256)(self._rules)

    def allows(self, agent: str, path: str) -> bool:
        """Whether a crawler with this product token may fetch a path (with its query, without its fragment)."""
        path = normalised(path or "/")
        if path == "/robots.txt":
            return True
        # The rules come longest first, allow before disallow: the first match decides.
        return next((rule.allow for rule in self._merged(_product(agent)) if rule.matches(path)), True)

    def group_of(self, agent: str) -> str:
        """The agent name whose group this crawler obeys: its own, `*`, or the empty name where neither is there."""
        token = _product(agent)
        return token if token in self._groups else "*" if "*" in self._groups else ""

    def _rules(self, token: str) -> tuple[Rule, ...]:
        found = self._groups.get(self.group_of(token), [])
        return tuple(sorted(found, key=lambda rule: (-rule.octets, not rule.allow)))

    def _read(self, text: str) -> None:
        agents: list[str] = []
        in_rules = False
        for line in _LINE.split(text.removeprefix("\ufeff")):
            key, value = _key_and_value(line)
            if key in _AGENT_KEYS:
                if in_rules:
                    agents, in_rules = [], False
                agents.append(_product(value))
                if agents[-1]:
                    self._groups.setdefault(agents[-1], [])
            elif key == "allow" or key in _DISALLOW_KEYS:
                in_rules = True
                if value:
                    rule = _rule(key == "allow", value)
                    for agent in dict.fromkeys(filter(None, agents)):
                        self._groups[agent].append(rule)


def _key_and_value(line: str) -> tuple[str, str]:
    content = line.partition("#")[0].strip()
    key, colon, value = content.partition(":")
    if not colon and (spelt := _WITHOUT_COLON.match(content)):
        key, value = spelt.groups()
    return key.strip().lower(), value.strip()


def _product(agent: str) -> str:
    """The product token of an agent name, lower-cased: `GPTBot/1.1 (+https://...)` is `gptbot`."""
    agent = agent.strip()
    if agent.startswith("*"):
        return "*"
    token = _TOKEN.match(agent)
    return token.group().lower() if token else ""


def _rule(allow: bool, pattern: str) -> Rule:
    anchored = pattern.endswith("$")
    body = normalised(pattern.removesuffix("$") if anchored else pattern)
    if not body.startswith(("/", "*")):
        body = "/" + body
    parts = tuple(re.split(r"\*+", body))
    return Rule(allow, parts, anchored, len(body.encode()) + anchored)


def normalised(path: str) -> str:
    """A path or pattern in the one spelling that is compared: unreserved octets plain, the others percent-encoded.

    `*` and `$` as such stay; `%2A` and `%24` stay encoded and so mean the characters themselves.
    """
    encoded = quote(path.encode("utf-8", "surrogatepass"), safe=_KEPT)
    return _ESCAPED.sub(_octet, encoded)


def _octet(found: re.Match[str]) -> str:
    character = chr(int(found.group(1), 16))
    return character if character in _UNRESERVED else f"%{found.group(1).upper()}"
