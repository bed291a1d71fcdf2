"""What an ingest would see now, and whether that differs from what the last one saw.

Belongs here: the state of all sources as one comparable value, and the batch it would become. Does not: reading documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ddd_llm.corpus.batch import ingest
from ddd_llm.corpus.identity import load_key
from ddd_llm.corpus.rights.records import Rights
from ddd_llm.corpus.scan import scan
from ddd_llm.corpus.sources import Source, SourcesFile, resolve_root
from ddd_llm.platform.code_version import code_version
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings
from ddd_llm.store.canonical import digest, digest_value
from ddd_llm.store.session import Session

RAW = "raw_documents"
# Fields that say under which right a source is used, which `governed_documents` judges; the others say how it is read.
GOVERNANCE = frozenset(Rights.model_fields)


def sources_of(settings: Settings) -> list[Source]:
    """The sources named in the sources file. Raises InputError with file, line and field."""
    return list(load_yaml(settings.sources, SourcesFile).sources)


def root_of(source: Source, settings: Settings) -> Path:
    """The folder a source is read from."""
    return resolve_root(source, settings.sources)


def key_fingerprint(settings: Settings, name: str) -> str:
    """Tells two keys apart without telling the key: 16 hex characters."""
    return digest(b"fingerprint of a key" + load_key(settings.keys, name))[:16]


def state(settings: Settings) -> str:
    """Digest of everything an ingest would read, and of the code that would read it."""
    seen = {}
    for source in sources_of(settings):
        fields = source.model_dump(mode="json", exclude=set(GOVERNANCE))
        seen[source.name] = [fields, scan(source, root_of(source, settings))]
    return digest_value([seen, key_fingerprint(settings, "id"), code_version(ingest)])


def capture_config(settings: Settings) -> dict[str, Any]:
    """What a batch's record says of the ingest: the sources as they were declared, the key's fingerprint, the state."""
    return {
        "sources": [source.model_dump(mode="json") for source in sources_of(settings)],
        "id_key": key_fingerprint(settings, "id"),
        "state": state(settings),
    }


def next_batch(session: Session, settings: Settings) -> tuple[str | None, str]:
    """(name of the batch that an ingest should make, or None when nothing changed; the state it would capture)."""
    batches = session.partitions(RAW)
    current = state(settings)
    if batches:
        last = session.head(RAW, batches[-1])
        if last is not None and last.record.config.get("state") == current:
            return None, current
    number = int(batches[-1].rpartition("-")[2]) if batches else 0
    return f"batch-{number + 1:05d}", current
