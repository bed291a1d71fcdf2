"""The state of a source as one digest, told without reading a document.

Belongs here: what `ingest.read_source` depends on. Does not belong here: reading (`ingest`).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ddd_llm.corpus.readers import bucket, dispatch, docstrings, folder, hf_dataset
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, Refusal
from ddd_llm.corpus.readers.records import Fields
from ddd_llm.corpus.sources import Bucket, Files, Folder, PythonPackage, Records, Source
from ddd_llm.corpus.text import NORMAL_FORM


def options(source: Records) -> dispatch.Options:
    """How the files of a source are to be read."""
    fields = Fields(source.text_field, source.id_field, source.title_field, source.date_field, source.quality_field)
    return dispatch.Options(fields, source.html) if isinstance(source, Files) else dispatch.Options(fields)


def place_of(source: Bucket) -> bucket.Place:
    """Where the objects of a bucket source are."""
    return bucket.Place(source.bucket, source.prefix, source.endpoint_url)


def scan(source: Source, root: Path) -> str:
    """Digest of all that `read_source` depends on, except the id key: equal digests mean equal documents.

    A folder counts with the path, size and SHA-256 of every file that matches, a bucket with the key, size and ETag of
    every object that matches (a listing; nothing is downloaded), a package with its installed version. A source that
    cannot be looked at counts with the reason.

    Args:
        root: folder of a folder source (`sources.resolve_root`); not looked at for a package or a bucket.
    """
    state = sha256(f"{NORMAL_FORM}\0{DEFAULT_LIMITS}\0".encode())
    for part in _parts(source, root):
        state.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return state.hexdigest()


def _parts(source: Source, root: Path) -> Iterator[str]:
    if isinstance(source, PythonPackage):
        yield from (docstrings.READER, source.package, source.version)
        yield from (docstrings.installed_version(source.package) or "", *source.modules, "", *source.exclude)
        return
    yield from (dispatch.READER, repr(options(source)))
    if isinstance(source, Bucket):
        yield from (bucket.READER, repr(place_of(source)), *source.include, "")
        for found in bucket.listing(place_of(source), source.include):
            if isinstance(found, Refusal):
                yield f"{found.locator}\0{found.reason}"
            else:
                yield f"{found.key}\0{found.size}\0{found.etag}"
        return
    if isinstance(source, Folder):
        yield from (folder.READER, *source.include, "")
        entries = folder.walk(root, source.include)
    else:
        yield from (hf_dataset.READER, repr(source.splits))
        entries = hf_dataset.shards(root, source.splits)
    for entry in entries:
        if isinstance(entry, Refusal):
            yield f"{entry.locator}\0{entry.reason}"
        else:
            size, content = _content(entry.path)
            yield f"{entry.locator}\0{size}\0{content}"


def _content(path: Path) -> tuple[int, str]:
    digest, size = sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError:
        return -1, "unreadable"  # `read_source` reports it
    return size, digest.hexdigest()
