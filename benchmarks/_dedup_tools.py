"""One tool over one corpus, in a process of its own: `python benchmarks/_dedup_tools.py TOOL CORPUS.parquet RESULT.parquet CPUS`.

Reads the columns id and text, writes the removed ids (ours also the document kept for each and their similarity). Peers
make their signatures from the same words; 16 bands of 8 values and connected components, which their own examples end in,
are done here with numpy and scipy, faster than any of them does it.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pyarrow as pa

TOOLS = ("ddd_llm", "daft", "rensa", "datasketch")
NUM_PERM, BANDS, ROWS, NGRAM = 128, 16, 8, 5
_WORD = re.compile(r"\w+")


def ddd_llm(source: Path) -> pa.Table:
    """Ours: one call on the file."""
    import pyarrow.compute as pc

    from ddd_llm.corpus.dedup.files import deduplicate_parquet
    from ddd_llm.corpus.dedup.policy import DedupPolicy

    decisions = deduplicate_parquet(source, DedupPolicy())
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    return pa.table({"removed": dropped["locator"], "kept": dropped["kept_locator"], "jaccard": dropped["jaccard"]})


def daft(source: Path) -> pa.Table:
    """Signatures by Daft."""
    import daft as engine  # pyright: ignore[reportMissingImports]
    from daft.functions import lower, minhash, regexp_replace  # pyright: ignore[reportMissingImports]

    corpus = _read(source)
    words = regexp_replace(lower(engine.col("text")), r"\W+", " ")
    frame = engine.from_arrow(corpus).select(engine.col("id"), minhash(words, num_hashes=NUM_PERM, ngram_size=NGRAM))
    made = frame.to_arrow()
    values = made.column(1).combine_chunks()
    import numpy as np

    return _components(made["id"], np.asarray(values.flatten()).reshape(-1, NUM_PERM))


def rensa(source: Path) -> pa.Table:
    """Signatures by rensa's R-MinHash."""
    import numpy as np
    from rensa import RMinHash  # pyright: ignore[reportMissingImports]

    corpus = _read(source)
    values = np.empty((len(corpus), NUM_PERM), np.uint32)
    for row, text in enumerate(corpus["text"].to_pylist()):
        made = RMinHash(num_perm=NUM_PERM, seed=42)
        made.update(_shingles(text))
        values[row] = made.digest()
    return _components(corpus["id"], values)


def datasketch(source: Path) -> pa.Table:
    """Signatures by datasketch, with xxHash where that is installed."""
    import numpy as np
    from datasketch import MinHash

    try:
        from xxhash import xxh32_intdigest as function
    except ImportError:
        from datasketch.hashfunc import sha1_hash32 as function
    corpus = _read(source)
    values = np.empty((len(corpus), NUM_PERM), np.uint64)
    for row, text in enumerate(corpus["text"].to_pylist()):
        made = MinHash(num_perm=NUM_PERM, hashfunc=function)
        made.update_batch([shingle.encode() for shingle in _shingles(text)])
        values[row] = made.hashvalues
    return _components(corpus["id"], values)


def _read(source: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.ParquetFile(source).read(columns=["id", "text"])


def _shingles(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    if len(words) < NGRAM:
        return [" ".join(words)] if words else []
    return [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]


def _components(ids, values) -> pa.Table:
    # The first document of each connected component stays.
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = []
    for band in range(BANDS):
        part = np.ascontiguousarray(values[:, band * ROWS : (band + 1) * ROWS])
        key = part.view(np.dtype((np.void, part.dtype.itemsize * ROWS))).ravel()
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        edges.append(np.stack([np.arange(len(values)), first[group]]))
    joined = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(joined.shape[1], np.bool_), (joined[0], joined[1])), shape=(len(values), len(values)))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    removed = np.ones(len(values), np.bool_)
    removed[first] = False
    return pa.table({"removed": ids.filter(pa.array(removed))})


class _WithoutPandas(MetaPathFinder):
    """Arrow imports pandas at its first conversion wherever that is installed; no tool here uses it, and all are spared it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used here")


def main() -> None:
    """Run one tool."""
    tool, source, target, cpus = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cpus)])
    sys.meta_path.insert(0, _WithoutPandas())
    import pyarrow.parquet as pq

    pq.write_table(globals()[tool](Path(source)), target)
    # Of this process since it began; what the parent would be told includes the parent's own peak.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)


if __name__ == "__main__":
    main()
