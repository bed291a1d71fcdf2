"""RFC 9309: groups, agents, longest match, wildcards, encoding."""

from __future__ import annotations

from itertools import product
from urllib.robotparser import RobotFileParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.rights.robots import Robots

# RFC 9309, section 5.1, with its comments left out.
SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
# RFC 9309, section 5.2.
LONGEST = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/other", False),
        ("FooBot/2.1 (+https://example.org)", "/other", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/example/other.html", True),
        ("quxbot", "/example/page.html", True),
        ("quxbot", "/a.gif", True),
        ("anybot", "/example/page.html", False),
        ("anybot", "/publications/a.html", True),
        ("anybot", "/a.gif", False),
        ("anybot", "/a.gif?b", True),
        ("foobot-extra", "/other", True),
    ],
)
def test_the_examples_of_the_standard(agent: str, path: str, allowed: bool) -> None:
    assert Robots(SIMPLE).allows(agent, path) is allowed


def test_the_longest_match_decides() -> None:
    robots = Robots(LONGEST)
    assert robots.allows("foobot", "/example/page/index.html")
    assert not robots.allows("foobot", "/example/page/disallowed.gif")


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("Disallow: /a\nAllow: /a", "/a", True),  # of equal length, allow
        ("Allow: /p\nDisallow: /", "/page", True),
        ("Allow: /folder\nDisallow: /folder", "/folder/page", True),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
        ("Allow: /$\nDisallow: /", "/", True),
        ("Allow: /$\nDisallow: /", "/page.htm", False),
        ("Disallow: /fish*.php", "/fishheads/catfish.php?parameters", False),
        ("Disallow: /*.php$", "/filename.php?parameters", True),
        ("Disallow: /*.php$", "/folder/filename.php", False),
        ("Disallow: /fish/", "/fish", True),
        ("Disallow: /Fish", "/fish", True),
        ("Disallow:", "/anything", True),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /a%3cd.html", "/a%3Cd.html", False),
        ("Disallow: /%7Ejoe/", "/~joe/index.html", False),
        ("Disallow: /foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", False),
        ("Disallow: /foo/bar/ツ", "/foo/bar/%E3%83%84", False),
        ("Disallow: /foo/bar/%E3%83%84", "/foo/bar/ツ", False),
        ("Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("Disallow: /a*b*c$", "/axxbxxbc", False),
        ("Disallow: /a*b*bc$", "/abc", True),
        ("Disallow: /**x", "/yyx", False),
        ("Disallow: private", "/private/a", False),  # a pattern that forgot its slash
        ("Disallow: *.pdf", "/a/b.pdf", False),
        ("disallow : /x # comment", "/x", False),
        ("Dissallow: /x", "/x", False),
        ("Disallow /x", "/x", False),
        ("Crawl-delay: 3\nSitemap: https://example.org/s.xml\nDisallow: /x", "/x", False),
    ],
)
def test_rules(rules: str, path: str, allowed: bool) -> None:
    assert Robots(f"User-agent: *\n{rules}").allows("anybot", path) is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("\ufeffUser-agent: GPTBot\r\nDisallow: /\r\n", False),
        ("USER-AGENT: gptbot\rDISALLOW: /\r", False),
        ("User-agent: GPTBot/1.1\nDisallow: /", False),
        ("user agent GPTBot\nDisallow: /", False),
        ("User-agent: a\n\n\nUser-agent: GPTBot\nDisallow: /", False),  # blank lines end no group
        ("User-agent: GPTBot\nAllow: /y\nUser-agent: b\nDisallow: /", True),
        ("User-agent: GPTBot\nAllow: /y\nUser-agent: b\nAllow: /\nUser-agent: GPTBot\nDisallow: /x", False),  # merged
        ("User-agent: GPT\nDisallow: /", True),
        ("Disallow: /", True),  # rules of no group
        ("User-agent:\nDisallow: /", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: GPTBot\nDisallow:", True),  # own group, though it says nothing
        ("", True),
        ("<html>Not found</html>", True),
        ("\0\x01User-agent", True),
    ],
)
def test_files_as_they_are_found(text: str, allowed: bool) -> None:
    assert Robots(text).allows("GPTBot", "/x") is allowed


paths = st.text("ab/", min_size=0, max_size=5).map(lambda path: "/" + path)


@given(st.lists(st.tuples(st.booleans(), paths), max_size=5), paths)
def test_without_wildcards_it_is_the_longest_prefix(rules: list[tuple[bool, str]], path: str) -> None:
    text = "User-agent: *\n" + "\n".join(f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in rules)
    matching = [(len(pattern), allow) for allow, pattern in rules if path.startswith(pattern)]
    assert Robots(text).allows("x", path) is (max(matching)[1] if matching else True)


@given(st.text("ab*$", max_size=5), st.text("ab", max_size=6))
def test_wildcards_agree_with_a_search_over_all_splits(pattern: str, path: str) -> None:
    def matches(pattern: str, rest: str) -> bool:
        if pattern in ("", "$"):
            return pattern == "" or rest == ""
        if pattern[0] == "*":
            return any(matches(pattern[1:], rest[cut:]) for cut in range(len(rest) + 1))
        if pattern[0] == "$":  # in the middle it is a plain character, which no path here has
            return False
        return rest.startswith(pattern[0]) and matches(pattern[1:], rest[1:])

    text = f"User-agent: *\nDisallow: /{pattern}"
    assert Robots(text).allows("x", "/" + path) is (not matches(pattern, path))


def test_one_rule_reads_as_the_standard_library_reads_it() -> None:
    for rule, path in product(["/", "/a", "/a/", "/b%20c"], ["/", "/a", "/a/b", "/ab", "/b c"]):
        text = f"User-agent: *\nDisallow: {rule}"
        library = RobotFileParser()
        library.parse(text.splitlines())
        assert Robots(text).allows("x", path) is library.can_fetch("x", path)


def test_many_stars_are_matched_in_one_pass() -> None:
    robots = Robots("User-agent: *\nDisallow: /" + "*a" * 2000 + "b$")
    assert robots.allows("x", "/" + "a" * 20_000)
