"""What reading costs: our readers against the library each of them stands on, on the same files.

    python benchmarks/ingest.py [--json] [--megabytes N] [--rounds N] [--formats jsonl,parquet,...]

The files are made on the spot in a temporary folder from docstrings of installed packages. Per format, ours
(`read_source`: walking, limits, verdicts, normal form, language, keyed ids, Arrow rows) and the library alone (the
shortest loop that yields the texts as Python strings) run in turns; medians of CPU seconds. The ratio says how much
slower ours is for what it does beyond the library; `readers` is ours without the last part (normal form, language, ids),
so that a format's own cost can be told from it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import statistics
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.ingest import read_source
from ddd_llm.corpus.readers import docstrings, folder, hf_dataset
from ddd_llm.corpus.readers.items import Item
from ddd_llm.corpus.scan import options
from ddd_llm.corpus.sources import Folder, HfDataset

KEY = b"benchmark-key-of-no-importance!!"
PACKAGES = ("numpy", "scipy", "pandas", "sympy", "networkx")


@dataclass(frozen=True)
class Format:
    """One format: how its files are made, and how the library alone reads them."""

    library: str
    make: Callable[[Path, list[str]], None]
    alone: Callable[[Path], Iterator[str]]
    share: float = 1.0
    """Part of the texts used, where the library is slow."""


def texts(megabytes: float) -> list[str]:
    """Docstrings of installed packages, about that many megabytes of them, again and again with a number if need be."""
    found = []
    for package in PACKAGES:
        version = docstrings.installed_version(package)
        if version is not None:
            documents = docstrings.read(package, version, [package])
            found += [one.text for one in documents if isinstance(one, Item) and len(one.text) > 200]
    out: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        text = f"{found[len(out) % len(found)]}\n\n({len(out)})"
        out.append(text)
        size += len(text.encode())
    return out


def _each(name: str, encode: Callable[[str], bytes]) -> Callable[[Path, list[str]], None]:
    def make(root: Path, given: list[str]) -> None:
        for number, text in enumerate(given):
            (root / f"{number:06}{name}").write_bytes(encode(text))

    return make


def _jsonl(given: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in given).encode()


def _csv(given: list[str]) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerows([["text"], *([text] for text in given)])
    return sink.getvalue().encode()


def _markup(text: str) -> bytes:
    from html import escape

    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n"))
    menu = "".join(f"<li><a href='/{n}'>Entry {n}</a></li>" for n in range(20))
    page = f"<html><head><title>T</title></head><body><nav><ul>{menu}</ul></nav><article>{paragraphs}</article></body></html>"
    return page.encode()


def _pdf(text: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    sink = io.BytesIO()
    canvas = Canvas(sink, invariant=1)
    lines = text.encode("ascii", "replace").decode().splitlines()
    for start in range(0, len(lines), 60):
        page = canvas.beginText(40, 800)
        page.textLines(lines[start : start + 60])
        canvas.drawText(page)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _docx(text: str) -> bytes:
    from docx import Document

    document = Document()
    for part in text.encode("ascii", "replace").decode().splitlines():
        document.add_paragraph(part)
    sink = io.BytesIO()
    document.save(sink)
    return sink.getvalue()


def _zip(root: Path, given: list[str]) -> None:
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(given):
            archive.writestr(f"{number:06}.txt", text)


def _tar(root: Path, given: list[str]) -> None:
    with tarfile.open(root / "a.tar.gz", "w:gz", compresslevel=6) as archive:
        for number, text in enumerate(given):
            info = tarfile.TarInfo(f"{number:06}.txt")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def _hf(root: Path, given: list[str]) -> None:
    from datasets import Dataset

    Dataset.from_dict({"text": given}).save_to_disk(root / "saved")


def _files(root: Path) -> list[Path]:
    return sorted(root.iterdir())


def alone_jsonl(root: Path) -> Iterator[str]:
    with (root / "a.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def alone_gzip(root: Path) -> Iterator[str]:
    with gzip.open(root / "a.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def alone_parquet(root: Path) -> Iterator[str]:
    for batch in pq.ParquetFile(root / "a.parquet").iter_batches(columns=["text"], use_threads=False):
        yield from batch.column(0).to_pylist()


def alone_csv(root: Path) -> Iterator[str]:
    csv.field_size_limit(1 << 24)
    with (root / "a.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"]


def alone_text(root: Path) -> Iterator[str]:
    for path in _files(root):
        yield path.read_text(encoding="utf-8")


def alone_html(root: Path) -> Iterator[str]:
    import trafilatura

    for path in _files(root):
        yield trafilatura.extract(path.read_bytes()) or ""


def alone_html_all(root: Path) -> Iterator[str]:
    from selectolax.lexbor import LexborHTMLParser

    for path in _files(root):
        body = LexborHTMLParser(path.read_bytes()).body
        yield body.text() if body else ""


def alone_pdf(root: Path) -> Iterator[str]:
    import pypdfium2

    for path in _files(root):
        document = pypdfium2.PdfDocument(path)
        yield "\n".join(page.get_textpage().get_text_bounded() for page in document)
        document.close()


def alone_docx(root: Path) -> Iterator[str]:
    from docx import Document

    for path in _files(root):
        yield "\n".join(paragraph.text for paragraph in Document(str(path)).paragraphs)


def alone_zip(root: Path) -> Iterator[str]:
    with zipfile.ZipFile(root / "a.zip") as archive:
        for info in archive.infolist():
            yield archive.read(info).decode("utf-8")


def alone_tar(root: Path) -> Iterator[str]:
    with tarfile.open(root / "a.tar.gz", "r|gz") as archive:
        for info in archive:
            stream = archive.extractfile(info)
            yield stream.read().decode("utf-8") if stream else ""


def alone_hf(root: Path) -> Iterator[str]:
    from datasets import load_from_disk

    for row in load_from_disk(str(root / "saved")):
        yield row["text"]  # type: ignore[index,call-overload]


FORMATS = {
    "jsonl": Format("json", lambda root, given: _write(root / "a.jsonl", _jsonl(given)), alone_jsonl),
    "jsonl.gz": Format(
        "gzip + json", lambda root, given: _write(root / "a.jsonl.gz", gzip.compress(_jsonl(given), 6)), alone_gzip
    ),
    "parquet": Format(
        "pyarrow", lambda root, given: pq.write_table(pa.table({"text": given}), root / "a.parquet"), alone_parquet
    ),
    "csv": Format("csv", lambda root, given: _write(root / "a.csv", _csv(given)), alone_csv),
    "markdown": Format("open().read()", _each(".md", str.encode), alone_text),
    "html": Format("trafilatura", _each(".html", _markup), alone_html, 0.1),
    "html all": Format("selectolax", _each(".html", _markup), alone_html_all, 0.5),
    "pdf": Format("pypdfium2", _each(".pdf", _pdf), alone_pdf, 0.2),
    "docx": Format("python-docx", _each(".docx", _docx), alone_docx, 0.05),
    "zip": Format("zipfile", _zip, alone_zip),
    "tar.gz": Format("tarfile", _tar, alone_tar),
    "hf_dataset": Format("datasets", _hf, alone_hf),
}  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def source(name: str) -> Folder | HfDataset:
    """The source that reads a format's folder."""
    rights: dict[str, Any] = {
        "name": "benchmark", "owner": "nobody", "licence": "MIT", "licence_evidence": "none", "legal_basis": "licence",
        "purpose": ["evaluation"], "collected": date(2026, 1, 1),
    }  # fmt: skip
    if name == "hf_dataset":
        return HfDataset(kind="hf_dataset", path=".", **rights)
    return Folder(kind="folder", path=".", html="all" if name == "html all" else "main", **rights)


def cpu(work: Callable[[], int]) -> tuple[float, int]:
    """(CPU seconds, what it gave)."""
    start = time.process_time()
    given = work()
    return time.process_time() - start, given


def measure(name: str, root: Path, rounds: int) -> dict[str, Any]:
    """Medians of one format, ours and the library in turns; the first round warms up and is left out."""
    given = source(name)
    at = root / "saved" if isinstance(given, HfDataset) else root

    def ours() -> int:
        return read_source(given, at, KEY).documents.num_rows

    def readers() -> int:
        if isinstance(given, HfDataset):
            return sum(isinstance(one, Item) for one in hf_dataset.read(at, given.splits, options(given)))
        return sum(isinstance(one, Item) for one in folder.read(at, given.include, options(given)))

    tried = {"ours": ours, "readers": readers, "library": lambda: sum(1 for _ in FORMATS[name].alone(root))}
    times: dict[str, list[float]] = {what: [] for what in tried}
    counts: dict[str, int] = {}
    for _ in range(rounds + 1):
        for what, work in tried.items():
            seconds, counts[what] = cpu(work)
            times[what].append(seconds)
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"{name}: documents differ: {counts}")
    middle = {what: statistics.median(found[1:]) for what, found in times.items()}
    return {"documents": counts["ours"], **{f"{what}_cpu_s": round(seconds, 4) for what, seconds in middle.items()}}


def main() -> None:
    """Measure, print a table, and with --json one object as the last line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--megabytes", type=float, default=20.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--formats", default=",".join(FORMATS))
    chosen = arguments.parse_args()
    corpus = texts(chosen.megabytes)
    result: dict[str, Any] = {}
    print(f"{'format':<12}{'documents':>10}{'MB':>7}{'library MB/s':>14}{'readers MB/s':>14}{'ours MB/s':>11}"
          f"{'readers/lib':>13}{'ours/lib':>10}  library")  # fmt: skip
    for name in chosen.formats.split(","):
        with tempfile.TemporaryDirectory() as folder_name:
            root = Path(folder_name)
            some = corpus[: max(1, int(len(corpus) * FORMATS[name].share))]
            FORMATS[name].make(root, some)
            found = measure(name, root, chosen.rounds)
        megabytes = sum(len(text.encode()) for text in some) / 1e6
        speeds = {what: megabytes / found[f"{what}_cpu_s"] for what in ("library", "readers", "ours")}
        ratios = {what: found[f"{what}_cpu_s"] / found["library_cpu_s"] for what in ("readers", "ours")}
        result[name] = {
            **found, "megabytes": round(megabytes, 2), "library": FORMATS[name].library,
            "readers_ratio": round(ratios["readers"], 2), "ratio": round(ratios["ours"], 2),
        }  # fmt: skip
        print(f"{name:<12}{found['documents']:>10,}{megabytes:>7.1f}{speeds['library']:>14.1f}{speeds['readers']:>14.1f}"
              f"{speeds['ours']:>11.1f}{ratios['readers']:>13.2f}{ratios['ours']:>10.2f}  {FORMATS[name].library}",
              flush=True)  # fmt: skip
    if chosen.json:
        print(json.dumps({"formats": result}))


if __name__ == "__main__":
    main()
