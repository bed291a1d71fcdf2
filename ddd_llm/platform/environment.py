"""What a record says about the machine and the libraries it was made with. Recorded, never part of a fingerprint."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib import metadata

LIBRARIES = (
    "accelerate", "dagster", "datasets", "datasketch", "great-expectations", "mlflow", "numba", "numpy", "peft",
    "pyarrow", "tokenizers", "torch", "transformers", "trl",
)  # fmt: skip


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that can change an artifact's bytes, and Python's."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def hardware() -> dict[str, object]:
    """Processor, cores, memory and, when this process already uses torch, the GPUs."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    found: dict[str, object] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(pages / 2**30, 1),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found
