"""The store's report pages: one self-contained HTML file each, with everything in it escaped.

Here belongs the look of a page and the guarantee that text taken from documents stays text: no script, no external
resource, no link that runs anything, no control or direction character that hides what stands there. Here does not belong
what a page says (each stage's own report module) or how a plot is drawn (`plots`).

The same calls give the same bytes. A page may hold document text, so it belongs in the store and nowhere else.
"""

from __future__ import annotations

import base64
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from urllib.parse import urlsplit

from markupsafe import Markup

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #dfe3e8; --page: #ffffff; --panel: #f6f8fa;
  --accent: #0072b2; --good: #00795a; --bad: #b84a00; --good-panel: #e6f5f0; --bad-panel: #fdeee3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --page: #14171b;
  --panel: #1d2228; --accent: #56b4e9; --good: #4fc9a4; --bad: #f0a06a; --good-panel: #12302a; --bad-panel: #3a2415; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.5rem 5rem; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1.25rem; margin-bottom: 1.75rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.015em; overflow-wrap: anywhere; }
header p { color: var(--soft); margin: .5rem 0 0; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; letter-spacing: -0.01em; overflow-wrap: anywhere; }
p { margin: .75rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.figures div { background: var(--panel); border-radius: .6rem; padding: .9rem 1rem; }
.figures dt { color: var(--soft); font-size: .82rem; }
.figures dd { margin: 0; overflow-wrap: anywhere; }
.figures .value { font-size: 1.65rem; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums; }
.figures .note { color: var(--soft); font-size: .82rem; }
.callout { border-left: .3rem solid var(--accent); background: var(--panel); border-radius: .35rem; padding: .9rem 1.1rem;
  margin: 1.25rem 0; overflow-wrap: anywhere; }
.callout.pass { border-color: var(--good); background: var(--good-panel); }
.callout.fail { border-color: var(--bad); background: var(--bad-panel); }
.callout strong { display: block; font-size: 1.05rem; }
.callout.pass strong { color: var(--good); }
.callout.fail strong { color: var(--bad); }
.callout ul { margin: .4rem 0 0; padding: 0; list-style: none; }
.callout li { margin: .2rem 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; padding: .42rem .8rem .42rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  unicode-bidi: isolate; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; vertical-align: bottom; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 1.1rem; }
td.number { white-space: nowrap; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; display: block; border-radius: .5rem; background: #ffffff; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .5rem; }
details { border: 1px solid var(--line); border-radius: .45rem; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; overflow-wrap: anywhere; }
details[open] > summary { border-bottom: 1px solid var(--line); }
details dl { margin: 0; padding: .3rem .8rem .8rem; }
details dt { color: var(--soft); font-size: .8rem; margin-top: .6rem; }
details dd { margin: 0; }
pre { margin: .2rem 0 0; padding: .6rem .75rem; background: var(--panel); border-radius: .35rem; white-space: pre-wrap;
  overflow-wrap: anywhere; unicode-bidi: isolate; font: .84rem/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; }
dl.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 1rem; }
dl.beside div { min-width: 0; }
mark { background: var(--bad-panel); color: var(--bad); }
ul.links { padding-left: 1.2rem; }
footer { color: var(--soft); font-size: .82rem; border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 1rem;
  overflow-wrap: anywhere; }
@media print { details { break-inside: avoid; } main { max-width: none; } }
"""

_PAGE = Markup(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>{subtitle}</header>
{body}
{footer}
</main>
</body>
</html>
"""
)

_IMAGES = ("image/png", "image/svg+xml")
_NUMBER = re.compile(r"((< )?[+\-−]?[\d.,]+( ?%)?( (to|of) [+\-−]?[\d.,]+)?|[-–—]|not known|)")


@dataclass(frozen=True)
class KeyFigure:
    """One large number at the head of a page: what it is, its value, and a short note beneath."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Sample:
    """One collapsible example: the line always seen, and named texts shown in full when it is opened."""

    summary: str
    parts: Mapping[str, str]


def visible(text: object) -> str:
    """Text with every character that could hide or reorder what stands there made visible.

    Control, direction and invisible tag characters become `[U+202E]` and the like, lone surrogates U+FFFD. Newlines and tabs
    stay; joiners that scripts need (U+200C, U+200D) stay.
    """
    return "".join(_visible(c) for c in str(text).replace("\r\n", "\n"))


def _visible(c: str) -> str:
    if c in "\n\t\u200c\u200d" or c.isprintable():
        return c
    category = unicodedata.category(c)
    if category == "Cs":
        return "\ufffd"
    return c if category in ("Zs", "Cn", "Co") else f"[U+{ord(c):04X}]"


def safe_link(href: str) -> bool:
    """Whether a link may be followed: http, https, a fragment, or a relative path; never one that runs something."""
    if "\\" in href or any(not c.isprintable() or c.isspace() for c in href) or href.startswith("//"):
        return False
    try:
        scheme = urlsplit(href).scheme
    except ValueError:
        return False
    return bool(href) and (scheme in ("http", "https") or (not scheme and ":" not in href.split("/")[0]))


class Page:
    """A report page, built from top to bottom; every text given is escaped.

    Args:
        title: the page's name.
        subtitle: one line beneath it.
        footer: one line at the foot, for example which record the page belongs to.
    """

    def __init__(self, title: str, subtitle: str = "", footer: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._footer = footer
        self._parts: list[Markup] = []

    def heading(self, text: str) -> Page:
        """Begin a section."""
        return self._add("<h2>{}</h2>", visible(text))

    def paragraph(self, text: str) -> Page:
        """A paragraph of plain text."""
        return self._add("<p>{}</p>", visible(text))

    def key_figures(self, figures: Sequence[KeyFigure]) -> Page:
        """A row of large numbers."""
        card = '<div><dt>{}</dt><dd class="value">{}</dd><dd class="note">{}</dd></div>'
        cards = [Markup(card).format(visible(f.label), visible(f.value), visible(f.note)) for f in figures]
        return self._add('<dl class="figures">{}</dl>', Markup("").join(cards))

    def callout(self, title: str, lines: Sequence[str] = (), passed: bool | None = None) -> Page:
        """A verdict that catches the eye; `passed` None is a plain note. The word stands beside the colour."""
        kind, mark = {None: ("note", ""), True: ("pass", "✓ "), False: ("fail", "✗ ")}[passed]
        items = Markup("").join(Markup("<li>{}</li>").format(visible(line)) for line in lines)
        listed = Markup("<ul>{}</ul>").format(items) if lines else ""
        return self._add('<div class="callout {}"><strong>{}{}</strong>{}</div>', kind, mark, visible(title), listed)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> Page:
        """A table; a column whose cells are all numbers is set to the right.

        Raises:
            ValueError: a row has another number of cells than there are columns.
        """
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"every row of a table needs {len(columns)} cells, one per column")
        shown = [[_cell(value) for value in row] for row in rows]
        numeric = [bool(shown) and all(_NUMBER.fullmatch(row[i]) for row in shown) for i in range(len(columns))]
        head = _cells("th", [visible(name) for name in columns], numeric)
        body = Markup("\n").join(Markup("<tr>{}</tr>").format(_cells("td", row, numeric)) for row in shown)
        named = Markup("<caption>{}</caption>").format(visible(caption)) if caption else ""
        form = '<div class="scroll"><table>{}<thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>'
        return self._add(form, named, head, body)

    def figure(self, image: bytes, alt: str, caption: str = "", media_type: str = "image/png") -> Page:
        """A picture, inlined as a data URI; an SVG inlined so cannot run a script.

        Raises:
            ValueError: neither PNG nor SVG.
        """
        if media_type not in _IMAGES:
            raise ValueError(f"a figure is one of {', '.join(_IMAGES)}, not {media_type}")
        uri = f"data:{media_type};base64,{base64.b64encode(image).decode('ascii')}"
        shown = Markup("<figcaption>{}</figcaption>").format(visible(caption)) if caption else ""
        return self._add('<figure><img src="{}" alt="{}">{}</figure>', uri, visible(alt), shown)

    def samples(self, samples: Sequence[Sample]) -> Page:
        """Collapsible examples, each with its texts in full."""
        part = Markup("<dt>{}</dt><dd><pre>{}</pre></dd>")
        for sample in samples:
            parts = Markup("").join(part.format(visible(name), visible(text)) for name, text in sample.parts.items())
            self._add("<details><summary>{}</summary><dl>{}</dl></details>", visible(sample.summary), parts)
        return self

    def side_by_side(self, summary: str, left: tuple[str, str], right: tuple[str, str]) -> Page:
        """Two named texts beside one another, collapsed under one line; words that only one of them has are marked."""
        column = Markup("<div><dt>{}</dt><dd><pre>{}</pre></dd></div>")
        marked = _differences(left[1], right[1])
        columns = Markup("").join(
            column.format(visible(n), text) for (n, _), text in zip((left, right), marked, strict=True)
        )
        return self._add(
            '<details><summary>{}</summary><dl class="beside">{}</dl></details>', visible(summary), columns
        )

    def markup(self, part: Markup) -> Page:
        """A part made elsewhere, where it was escaped."""
        return self._add("{}", part)

    def links(self, links: Sequence[tuple[str, str]]) -> Page:
        """A list of (label, target); a target that is not safe to follow is shown as text, not linked."""
        safe, plain = Markup('<li><a href="{1}" rel="noreferrer">{0}</a></li>'), Markup("<li>{} ({})</li>")
        items = [(safe if safe_link(href) else plain).format(visible(label), visible(href)) for label, href in links]
        return self._add('<ul class="links">{}</ul>', Markup("").join(items))

    def html(self) -> str:
        """The whole page."""
        line = Markup("<p>{}</p>").format(visible(self._subtitle)) if self._subtitle else ""
        foot = Markup("<footer>{}</footer>").format(visible(self._footer)) if self._footer else ""
        return _PAGE.format(
            policy=CONTENT_SECURITY_POLICY,
            title=visible(self._title),
            style=Markup(_STYLE),
            subtitle=line,
            body=Markup("\n").join(self._parts),
            footer=foot,
        )

    def encode(self) -> bytes:
        """The page as UTF-8 bytes, the form the store keeps."""
        return self.html().encode("utf-8")

    def _add(self, form: str, *values: object) -> Page:
        self._parts.append(Markup(form).format(*values))
        return self


def _differences(left: str, right: str) -> tuple[Markup, Markup]:
    """Both texts with the words marked that the other lacks at that place."""
    a, b = (re.findall(r"\s+|\S+", text) for text in (left, right))
    one, other = Markup(""), Markup("")
    mark = Markup("<mark>{}</mark>")
    for op, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        mine, theirs = visible("".join(a[a0:a1])), visible("".join(b[b0:b1]))
        one += mine if op == "equal" or not mine else mark.format(mine)
        other += theirs if op == "equal" or not theirs else mark.format(theirs)
    return one, other


def _cells(tag: str, texts: Sequence[str], numeric: Sequence[bool]) -> Markup:
    plain, number = Markup(f"<{tag}>{{}}</{tag}>"), Markup(f'<{tag} class="number">{{}}</{tag}>')
    return Markup("").join(
        (number if right else plain).format(text) for text, right in zip(texts, numeric, strict=True)
    )


def _cell(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else "—"
    return visible(value)
