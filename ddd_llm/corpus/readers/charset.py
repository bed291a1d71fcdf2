"""Which legacy character set a text that is no UTF-8 is in, or that it cannot be told.

Belongs here: detection and its confidence floor. Does not belong here: byte order marks, decoding of streams
(`encoding`).

A wrong guess reads without an error and gives garbage, so two independent witnesses must agree: charset-normalizer
ranks the character sets by how orderly the text looks, and the language identifier must recognise, in the decoded
text, a language that is written in that character set. Whatever else passes both and reads differently makes it
uncertain. Only lines with bytes beyond ASCII are looked at, since only they tell the candidates apart.
"""

from __future__ import annotations

import codecs
import re

_WESTERN = frozenset(
    [
        "en",
        "de",
        "fr",
        "es",
        "it",
        "pt",
        "nl",
        "sv",
        "da",
        "no",
        "nn",
        "fi",
        "is",
        "ca",
        "gl",
        "eu",
        "af",
        "ga",
        "oc",
        "la",
        "id",
        "ms",
        "br",
        "lb",
    ]
)
_CENTRAL = frozenset(["pl", "cs", "sk", "hu", "sl", "hr", "bs", "ro", "sq"])
_CYRILLIC = frozenset(["ru", "uk", "be", "bg", "sr", "mk", "ba", "tt", "kk"])
_GREEK, _TURKISH, _JAPANESE = frozenset(["el"]), frozenset(["tr", "az"]), frozenset(["ja"])
_CHINESE, _KOREAN = frozenset(["zh", "yue", "wuu"]), frozenset(["ko"])
LANGUAGES = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "cp1251": _CYRILLIC,
    "koi8_r": _CYRILLIC,
    "cp866": _CYRILLIC,
    "cp1253": _GREEK,
    "iso8859_7": _GREEK,
    "cp1254": _TURKISH,
    "cp932": _JAPANESE,
    "euc_jp": _JAPANESE,
    "gb18030": _CHINESE,
    "big5": _CHINESE,
    "cp949": _KOREAN,
}
"""Character sets that are told apart, and the languages (ISO 639) written in them."""

_LATIN = frozenset(["cp1252", "cp1250", "iso8859_2", "cp1254"])
SAMPLE = 65_536
UNLIKELY = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff]")
"""Control and private-use characters: what bytes of another character set decode to where a codec lets them through."""

_MIN_BYTES = 4  # beyond ASCII
_MIN_SCORE = 0.5
_MAX_MESS = 0.2  # charset-normalizer's own threshold
_MAX_ROWS = 0.3
_BEYOND = re.compile(r"[^\W\d_\x00-\x7f]")
_ROW = re.compile(r"[^\W\d_\x00-\x7f]{4,}")


def detect(data: bytes) -> str | None:
    """Python's name of the character set, None when it cannot be told with confidence.

    Args:
        data: bytes that are not UTF-8; the first 64 KiB of lines that go beyond ASCII are looked at.
    """
    from charset_normalizer import from_bytes

    from ddd_llm.corpus.text import best_language

    sample = telling(data)
    if len(sample) - len(sample.translate(None, _HIGH)) < _MIN_BYTES:
        return None
    found: list[tuple[str, str, float]] = []
    for match in from_bytes(sample, cp_isolation=list(LANGUAGES), preemptive_behaviour=False, enable_fallback=False):
        for name in dict.fromkeys(map(_canonical, match.could_be_from_charset)):
            text = strict(sample, name) if name in LANGUAGES else None
            if text is None or match.chaos > _MAX_MESS or (name in _LATIN and _is_other_script(text)):
                continue
            told, score = best_language(text)
            if told in LANGUAGES[name] and score >= _MIN_SCORE:
                found.append((name, text, match.chaos))
    if not found:
        return None
    name, text, mess = found[0]
    rivals = [other for _, other, its_mess in found[1:] if other != text and its_mess - mess < _MAX_MESS / 2]
    return None if rivals else name


def _is_other_script(text: str) -> bool:
    """Letters beyond ASCII stand alone or in twos where a language is written in Latin letters, in rows elsewhere."""
    letters = len(_BEYOND.findall(text))
    return sum(map(len, _ROW.findall(text))) > _MAX_ROWS * letters


def telling(data: bytes) -> bytes:
    """The lines with bytes beyond ASCII, at most 64 KiB of them, cut at a blank."""
    lines: list[bytes] = []
    size = 0
    for found in _LINE.finditer(data):
        line = found[0]
        if line.isascii():
            continue
        lines.append(line)
        size += len(line)
        if size >= SAMPLE:
            break
    sample = b"\n".join(lines)
    if len(sample) > SAMPLE:  # inside a line without end: cut where no character can be split
        cut = max(sample.rfind(b" ", 0, SAMPLE), sample.rfind(b"\n", 0, SAMPLE), 0) or SAMPLE
        sample = sample[:cut]
    return sample


def strict(data: bytes, name: str) -> str | None:
    """The text, None when the bytes are not valid in that character set or give `UNLIKELY` characters."""
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        if error.start < len(data) - 4 or len(data) < SAMPLE // 2:
            return None
        text = data[: error.start].decode(name)  # the sample was cut inside a character
    return None if UNLIKELY.search(text) else text


def declared(name: str) -> str | None:
    """Python's name of a character set that a document declares, None for one that is not read.

    `latin-1` and `ascii` mean Windows-1252, `gb2312` and `gbk` GB18030, `shift_jis` Windows-31J, as on the web
    (WHATWG Encoding Standard, section 4.2).
    """
    try:
        found = _canonical(codecs.lookup(name).name)
    except (LookupError, ValueError):
        return None
    return found if _READ.fullmatch(found) else None


def _canonical(name: str) -> str:
    plain = codecs.lookup(name).name.replace("-", "_")
    return _SAME.get(plain, plain)


_SAME = {
    "iso8859_1": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859_9": "cp1254",
}
_READ = re.compile(r"cp(125\d|866|874|932|949)|iso8859_\d+|koi8_[ru]|euc_jp|gb18030|big5(hkscs)?|utf_8")
_LINE = re.compile(rb"[^\n]+")
_HIGH = bytes(range(128, 256))
