"""Declared people: lists of data subjects, and the places in a text that mean one of them.

Belongs here: reading the lists, the ways a name is written, matching. Does not belong here: guessing that a word is a name
(`ner`). Lists are people's data: they live outside the store, and no message quotes them.

A list is CSV (with a header) or JSONL with the columns `name`, and where known `id`, `email`, `aliases`, `identifiers`; in
CSV the last two hold several values with `;` between them. A person is told by `id`, without one by the name: two rows
that agree in it are one person.

Ways to write "Jane Mary Doe", as declared and in any case: Jane Mary Doe, Jane Doe. By rule, where the capitals are right:
Doe, Jane; Doe Jane; J. Doe; J. M. Doe; Jane M. Doe; Doe, J.; Doe J. A possessive ending stays outside. Accents, apostrophes
and hyphens may differ. In scripts without spaces the declared spelling counts anywhere.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength

COLUMNS = ("id", "name", "email", "aliases", "identifiers")
_MOST_WORDS = 16
_AMBIGUOUS = -1
# How a spelling in the index must stand in the text: the bits of an entry beside the subject's number.
_DECLARED, _LITERAL, _CAPITALS, _INITIALS = range(4)


class SubjectListError(ValueError):
    """A list of subjects that cannot be used; names file and line, quotes nobody."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One person: `key` is what the pseudonym is made of."""

    key: str
    spellings: tuple[str, ...]
    identifiers: tuple[str, ...]


def read_subjects(path: Path) -> list[Subject]:
    """The people of one list. Raises SubjectListError: not readable, unknown columns, a row that names nobody."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubjectListError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise SubjectListError(f"{path}: cannot be read ({error.strerror}); mend `subjects` in the policy") from None
    if path.suffix == ".jsonl":
        return [_subject(path, line, row) for line, row in _json_rows(path, text)]
    if path.suffix == ".csv":
        return [_subject(path, line, row) for line, row in _csv_rows(path, text)]
    raise SubjectListError(f"{path}: a list of subjects is a .csv or a .jsonl file")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise SubjectListError(f"{path}:{reader.line_num}: more or fewer fields than the header")
            split: dict[str, object] = {name.strip(): value for name, value in row.items()}
            for name in ("aliases", "identifiers"):
                split[name] = str(split.get(name) or "").split(";")
            yield reader.line_num, split
    except csv.Error:
        raise SubjectListError(f"{path}:{reader.line_num}: not CSV") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                raise SubjectListError(f"{path}:{number}: not JSON") from None
            if not isinstance(row, dict):
                raise SubjectListError(f"{path}:{number}: a row is an object")
            yield number, row


def _subject(path: Path, line: int, row: dict[str, object]) -> Subject:
    unknown = sorted(set(row) - set(COLUMNS))
    if unknown:
        raise SubjectListError(f"{path}:{line}: {len(unknown)} unknown column(s); there are {', '.join(COLUMNS)}")
    values = {name: _texts(path, line, name, row.get(name)) for name in COLUMNS}
    for name in ("id", "name", "email"):
        if len(values[name]) > 1:
            raise SubjectListError(f"{path}:{line}: {name} is one value")
    names = [*values["name"], *values["aliases"]]
    identifiers = [*values["email"], *values["identifiers"]]
    split = [words(one) for one in (*names, *identifiers)]
    if not any(split):
        raise SubjectListError(f"{path}:{line}: neither name nor e-mail")
    if any(sum(map(len, one)) < 2 for one in split):
        raise SubjectListError(f"{path}:{line}: a name or identifier of one character would match anywhere")
    if any(len(one) > _MOST_WORDS for one in split):
        raise SubjectListError(f"{path}:{line}: a name or identifier of more than {_MOST_WORDS} words")
    key = f"id:{values['id'][0]}" if values["id"] else f"name:{' '.join(split[0])}"
    return Subject(key, tuple(names), tuple(identifiers))


def _texts(path: Path, line: int, name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
        raise SubjectListError(
            f"{path}:{line}: {name} is text" + (", or a list of texts" if name in COLUMNS[3:] else "")
        )
    return tuple(text for part in parts if (text := str(part).strip()))


_WORD = re.compile(r"(?:[^\W_][\u0300-\u036f]*)+")
_GAP = re.compile(r"[\s.,'’`´_\-]{1,4}\Z")


def words(text: str) -> list[str]:
    """Words in lower case without accents."""
    return [_plain(match[0]) for match in _WORD.finditer(_composed(text))]


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _plain(word: str) -> str:
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.casefold()).replace("ı", "i")
    return "".join(character for character in parts if not unicodedata.combining(character)) or word


# Han, kana, Hangul, Thai, Lao, Khmer, Burmese: names stand in running text without blanks.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class SubjectMatcher:
    """Finds declared people. Built once per list; a text costs one look-up per word, however long the lists are."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._keys: list[str] = []
        self._index: dict[str, int] = {}
        self._longest: dict[str, int] = {}
        self._running: dict[str, list[tuple[str, int]]] = {}
        self._literals: dict[str, list[str]] = {}
        numbers: dict[str, int] = {}
        for subject in subjects:
            number = numbers.setdefault(subject.key, len(numbers))
            if number == len(self._keys):
                self._keys.append(subject.key)
            for spelling in subject.spellings:
                if _UNSPACED.search(spelling):
                    whole = "".join(spelling.split())
                    self._running.setdefault(whole[0], []).append((whole, number))
                for key, how in _variants(words(spelling)):
                    self._add(key, number, how)
            for identifier in subject.identifiers:
                self._literals.setdefault(" ".join(words(identifier)), []).append(identifier.lower())
                self._add(tuple(words(identifier)), number, _LITERAL)
        for entries in self._running.values():
            entries.sort(key=lambda entry: (-len(entry[0]), entry))

    def _add(self, key: tuple[str, ...], number: int, how: int) -> None:
        if not key:
            return
        joined = " ".join(key)
        there = self._index.get(joined)
        if there is None or (there & 3) > how:  # a declared spelling goes before one by rule
            self._index[joined] = number << 2 | how
        elif (there & 3) == how and there >> 2 != number:
            self._index[joined] = _AMBIGUOUS << 2 | how
        self._longest[key[0]] = max(self._longest.get(key[0], 0), len(key))

    def find(self, text: str) -> Iterator[Found]:
        """Mentions of declared people in a text, the longest at each place. A spelling of two people stands for itself."""
        places = [(match.start(), match.end()) for match in _WORD.finditer(text)]
        plain = [_plain(text[start:end]) for start, end in places]
        number = 0
        while number < len(plain):
            longest = self._longest.get(plain[number])
            taken = longest and self._at(text, places, plain, number, longest)
            if taken:
                yield taken[0]
                number += taken[1]
            else:
                number += 1
        if self._running and not text.isascii():
            yield from self._in_running_text(text)

    def _at(
        self, text: str, places: list[tuple[int, int]], plain: list[str], first: int, longest: int
    ) -> tuple[Found, int] | None:
        for count in range(min(longest + 1, len(plain) - first), 0, -1):
            span = plain[first : first + count]
            tries = [span] if count <= longest else []
            if count >= 3 and len(span[1]) == 1:  # a middle initial that nobody declared
                tries.append([span[0], *span[2:]])
            for words_there in tries:
                entry = self._index.get(" ".join(words_there))
                if entry is None or not self._stands(
                    text, places[first : first + count], entry & 3, " ".join(words_there)
                ):
                    continue
                start, end = places[first][0], places[first + count - 1][1]
                if len(plain[first + count - 1]) == 1 and text[end : end + 1] == ".":
                    end += 1
                key = self._keys[entry >> 2] if entry >> 2 != _AMBIGUOUS else f"several:{' '.join(words_there)}"
                return Found(Kind.PERSON, start, end, key, Strength.SUBJECT), count
        return None

    def _stands(self, text: str, places: list[tuple[int, int]], how: int, key: str) -> bool:
        """Whether the words stand as the way of writing asks."""
        start, end = places[0][0], places[-1][1]
        if how == _LITERAL:
            before, after = text[max(0, start - 1) : start], text[end : end + 2]
            inside = (before != "" and before in "@+-_.") or re.match(r"[@_+-]\w|\.\w", after) is not None
            return not inside and text[start:end].lower() in self._literals[key]
        gaps = [text[one[1] : other[0]] for one, other in itertools.pairwise(places)]
        if not all(_GAP.match(gap) and gap.count("\n") < 2 for gap in gaps):
            return False
        if how == _DECLARED:
            return True
        spellings = [text[begin:stop] for begin, stop in places]
        if not all(spelling[0].isupper() or not spelling[0].islower() for spelling in spellings):
            return False
        if how == _CAPITALS:
            return True
        # "A Person" and "I Will" are no initials; with a full stop or a comma they are.
        marked = "," in gaps[0] or text[end : end + 1] == "." or any("." in gap for gap in gaps)
        return marked or not {"A", "I"} & {spelling for spelling in spellings if len(spelling) == 1}

    def _in_running_text(self, text: str) -> Iterator[Found]:
        for match in _UNSPACED.finditer(text):
            for spelling, number in self._running.get(match[0], ()):
                if text.startswith(spelling, match.start()):
                    end = match.start() + len(spelling)
                    yield Found(Kind.PERSON, match.start(), end, self._keys[number], Strength.SUBJECT)
                    break


def _variants(name: list[str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """(words, how they must stand) of every way to write a name; the last word is the family name."""
    yield tuple(name), _DECLARED
    if not 2 <= len(name) <= 5:
        return
    first, *middle, last = name
    initials = [one[0] for one in middle]
    if middle:
        yield (first, last), _DECLARED
        yield (last, first, *middle), _CAPITALS
        yield (first, *initials, last), _INITIALS
        yield (first[0], *initials, last), _INITIALS
        yield (last, first[0], *initials), _INITIALS
    yield (last, first), _CAPITALS
    yield (first[0], last), _INITIALS
    yield (last, first[0]), _INITIALS
