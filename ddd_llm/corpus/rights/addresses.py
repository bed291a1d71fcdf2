"""Web addresses of documents, in one spelling, and files that list domains and addresses which opted out.

Belongs here: telling a document's address from its locator, comparing addresses. Does not belong here: robots.txt (`robots`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ddd_llm.corpus.rights.robots import normalised

_ID = re.compile(r"#id=(https?://.+)", re.IGNORECASE | re.DOTALL)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SAME_NAME = re.compile(r";\d+$")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_INDEX = re.compile(r"(?<=/)index\.x?html?$", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """An address as it is compared: host in lower case and punycode (with a port that is not the scheme's own), and the path
    with its query as RFC 9309 normalises it. The scheme does not count: a wish for http holds for https."""

    host: str
    path: str


def address(url: str) -> Address | None:
    """The comparable form of an http or https address, None when it is none."""
    try:
        parts = urlsplit(url.strip().replace("\\", "/"))  # as browsers and crawlers read it
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    name = host(parts.hostname or "")
    if scheme not in _DEFAULT_PORTS or name is None:
        return None
    site = name if port in (None, _DEFAULT_PORTS[scheme]) else f"{name}:{port}"
    query = normalised(f"?{parts.query}") if parts.query else ""
    return Address(site, _resolved(normalised(parts.path or "/")) + query)


def host(name: str) -> str | None:
    """A host name in lower case and punycode, without a final stop; None when it is none."""
    name = name.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return name if _HOST.fullmatch(name) or ":" in name else None  # an IPv6 address has colons


def _resolved(path: str) -> str:
    """A path without `.` and `..` segments (RFC 3986, 5.2.4), so that no detour hides where it leads."""
    if "/." not in path:
        return path
    out: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            if out:
                out.pop()
        elif segment != ".":
            out.append(segment)
    if segments[-1] in (".", ".."):
        out.append("")
    return "/" + "/".join(out)


def addresses_of(locator: str, url_prefix: str | None) -> list[Address] | None:
    """The addresses a document was published at; more than one where a mirror hides which (`/a/index.html` is `/a/` too).

    The locator itself when it is an address, the record's id when that is one, else `url_prefix` and the locator. Empty when
    nothing says where it was published; None when something does, but is no address that can be compared.
    """
    plain = _SAME_NAME.sub("", locator)
    if _WEB.match(plain):
        found = address(plain)
    elif record := _ID.search(plain):
        found = address(unquote(record.group(1), errors="surrogateescape"))
    elif url_prefix is not None:
        file = unquote(plain.partition("#")[0], errors="surrogateescape").replace("#", "%23")
        joint = "" if url_prefix.endswith(("/", "=")) else "/"
        found = address(f"{url_prefix}{joint}{file.lstrip('/')}")
    else:
        return []
    if found is None:
        return None
    folder = _INDEX.sub("", found.path)
    return [found] if folder == found.path else [found, Address(found.host, folder)]


class OptOutList:
    """Domains and addresses, one a line: `example.org` speaks for the domain and all below it, `https://example.org/a/`
    for every address that begins so. `#` begins a comment.

    Raises:
        ValueError: a line that is neither, named by its number.
    """

    def __init__(self, text: str) -> None:
        self._domains: set[str] = set()
        self._prefixes: dict[str, list[str]] = {}
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
            entry = re.sub(r"(^|\s)#.*", "", line).strip()
            if entry:
                self._add(entry, number)

    def _add(self, entry: str, number: int) -> None:
        if "://" in entry:
            found = address(entry)
            if found is None:
                raise ValueError(f"line {number}: not an http or https address")
            self._prefixes.setdefault(found.host, []).append(found.path)
            return
        name = host(entry.removeprefix("*."))
        if name is None or "." not in name or ":" in name:
            raise ValueError(f"line {number}: neither a domain (example.org) nor an address (https://example.org/a/)")
        self._domains.add(name)

    def names(self, one: Address) -> bool:
        """Whether an address is on the list."""
        labels = one.host.partition(":")[0].split(".")
        if any(".".join(labels[index:]) in self._domains for index in range(len(labels))):
            return True
        return any(one.path.startswith(prefix) for prefix in self._prefixes.get(one.host, ()))

    def __len__(self) -> int:
        return len(self._domains) + sum(map(len, self._prefixes.values()))
