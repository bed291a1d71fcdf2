"""Memory stays bounded whatever a file holds. Peaks are measured in a process of their own."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ddd_llm_tests.corpus.readers import files

ALLOWED = 256  # MiB above the idle process
MB = 1_000_000

SCRIPT = """
import resource, sys
from pathlib import Path
from ddd_llm_tests.corpus.helpers import read_folder, reasons
root = Path(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
read_folder(root / 'small')
before = peak()
documents, held_back = read_folder(root / 'large')
print(peak() - before, documents.num_rows, documents['bytes'].to_pylist()[:1], sorted({r for _, r in reasons(held_back)}))
"""
SMALL = {
    "a.jsonl": b'{"text": "some words of the English language"}\n',
    "a.html": b"<html><body><p>some words of the English language</p></body></html>",
    "a.csv": b"text\nsome words of the English language\n",
    "a.pdf": files.pdf("some words"),
    "a.docx": files.docx("some words"),
    "a.md": b"words",
    "b.txt": "größe über straße mädchen".encode("latin-1") * 20,
}


def peak(root: Path) -> tuple[int, str]:
    """(MiB above a process that has read one small file of each format, what it said)."""
    small = root / "small"
    small.mkdir()
    for name, data in SMALL.items():
        (small / name).write_bytes(data)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=True)
    used, said = done.stdout.split(maxsplit=1)
    return int(used), said.strip()


# A line without end in each format of text: what it begins and ends with. The middle is a hole in the file (zeros).
LINES: dict[str, tuple[bytes, bytes]] = {
    "a.jsonl": (b'{"text": "', b'"}\n'),
    "b.txt": (b"words ", b"\n"),
    "c.csv": (b'id,text\n1,"', b'"\n'),
    "d.html": (b"<html><body><p>", b"</p></body></html>"),
    "e.md": (b"# ", b"\n"),
    "f.tsv": (b"text\n", b"\n"),
    "g.txt": (b"caf\xe9 ", b"\n"),
}


def refused_in_bounded_memory(root: Path, megabytes: int) -> None:
    large = root / "large"
    large.mkdir()
    for name, (begin, end) in LINES.items():
        with (large / name).open("wb") as file:
            file.write(begin)
            file.seek(megabytes * MB, 1)
            file.write(end)
    # Stored, not deflated: no bomb by its ratio.
    with gzip.open(large / "h.jsonl.gz", "wb", compresslevel=0) as packed:
        for _ in range(megabytes):
            packed.write(b"x" * MB)
    with zipfile.ZipFile(large / "i.zip", "w") as archive, archive.open("i.csv", "w", force_zip64=True) as member:
        member.write(b'text\n"')
        for _ in range(megabytes):
            member.write(b"x" * MB)
    used, said = peak(root)
    assert said.startswith("0 [] ['document_too_large', 'record_too_large'")
    assert used < ALLOWED


def test_lines_of_100_mb_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    refused_in_bounded_memory(tmp_path, 100)


@pytest.mark.slow
def test_lines_of_two_gigabytes_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    refused_in_bounded_memory(tmp_path, 2000)


def test_many_rows_cost_two_copies_of_their_text_and_little_more(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    text = b"words of a document that is long enough to be one of many " * 200
    rows = 60 * MB // len(text)
    with (large / "a.jsonl").open("wb") as file:
        for number in range(rows):
            file.write(b'{"text": "' + text + b'%d"}\n' % number)
    used, said = peak(tmp_path)
    assert int(said.split()[0]) == rows
    assert used < 2 * 60 + 80  # in file order and in the order of locators, in which 10 comes before 2


def test_millions_of_bad_records_do_not_pile_up(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "a.jsonl").write_bytes(b"x\n" * 2_000_000)
    used, said = peak(tmp_path)
    assert said.endswith("['too_many_bad_records']")
    assert used < ALLOWED
