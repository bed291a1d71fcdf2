"""Which files of a folder belong to the source, and that nothing outside it is ever opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddd_llm.corpus.readers.folder import Entry, walk
from ddd_llm.corpus.readers.items import Limits, Refusal
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts


def names(root: Path, *include: str) -> list[str]:
    return [entry.locator for entry in walk(root, include) if isinstance(entry, Entry)]


def make(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"text of {file}")


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("**/*", ["a.md", "b.txt", "d/a.md", "d/e/a.md"]),
        ("**/*.md", ["a.md", "d/a.md", "d/e/a.md"]),
        ("*.md", ["a.md"]),
        ("d/**", ["d/a.md", "d/e/a.md"]),
        ("?.txt", ["b.txt"]),
        ("**/.*/*.md", [".git/a.md"]),
        ("[ab].md", []),
    ],
)
def test_globs_choose_files_in_sorted_order(tmp_path: Path, glob: str, expected: list[str]) -> None:
    make(tmp_path, "d/e/a.md", "b.txt", "d/a.md", "a.md", ".git/a.md", ".hidden")
    assert names(tmp_path, glob) == expected


def test_links_out_of_the_folder_are_refused_and_links_inside_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root, "data/a.md")
    make(tmp_path, "secret.md", "other/b.md")
    (root / "escape.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path / "other")
    (root / "inside").symlink_to(root / "data")
    (root / "inside.md").symlink_to(root / "data" / "a.md")
    (root / "loop.md").symlink_to(root / "loop.md")
    (root / "nowhere.md").symlink_to(tmp_path / "gone.md")
    documents, held_back = read_folder(root, include=["**/*.md"])
    assert texts(documents) == {"data/a.md": "text of data/a.md", "inside.md": "text of data/a.md"}
    assert reasons(held_back) == [
        ("escape.md", "symlink_outside_root"),
        ("folder", "symlink_outside_root"),
        ("loop.md", "broken_symlink"),
        ("nowhere.md", "broken_symlink"),
    ]


def test_what_is_no_document_is_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.pkl", "b.pt", "c.7z", "d.docx.gz", "e", "f.TXT", "g.parquet.gz")
    os.mkfifo(tmp_path / "h.txt")
    documents, held_back = read_folder(tmp_path)
    assert list(texts(documents)) == ["f.TXT"]
    assert reasons(held_back) == [
        ("a.pkl", "unsupported_format"),
        ("b.pt", "unsupported_format"),
        ("c.7z", "unsupported_format"),
        ("d.docx.gz", "unsupported_format"),
        ("e", "unsupported_format"),
        ("g.parquet.gz", "unsupported_format"),
        ("h.txt", "not_a_regular_file"),
    ]


def test_a_missing_folder_and_too_many_files_are_said(tmp_path: Path) -> None:
    _, held_back = read_folder(tmp_path / "gone")
    assert reasons(held_back) == [("", "folder_missing")]
    make(tmp_path, "a.md", "b.md", "c.md")
    entries = list(walk(tmp_path, ["**/*"], Limits(files=2)))
    assert [type(entry) for entry in entries] == [Entry, Entry, Refusal]


def test_folders_nested_too_deep_are_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c/x.md", "a/b/y.md")
    entries = list(walk(tmp_path, ["**/*"], Limits(folder_depth=2)))
    assert [(entry.locator, type(entry)) for entry in entries] == [("a/b/c", Refusal), ("a/b/y.md", Entry)]


@pytest.mark.parametrize(
    ("name", "locator"),
    [
        ("a#b;c%.md", "a%23b%3Bc%25.md"),
        ("\u202egpj.md", "%E2%80%AEgpj.md"),
        ("a\nb\x1b[31m.md", "a%0Ab%1B[31m.md"),
        ("caf\u00e9 \u4e2d.md", "caf\u00e9 \u4e2d.md"),
        ("-rf.md", "-rf.md"),
        ("CON.md", "CON.md"),
    ],
)
def test_odd_names_become_printable_locators(tmp_path: Path, name: str, locator: str) -> None:
    make(tmp_path, name)
    documents, _ = read_folder(tmp_path)
    assert list(texts(documents)) == [locator]


def test_a_name_that_is_no_utf8_becomes_a_locator(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"a\xff.md"), "wb") as file:
        file.write(b"text")
    documents, _ = read_folder(tmp_path)
    (locator,) = texts(documents)
    assert locator.isprintable()
    assert locator.encode()
