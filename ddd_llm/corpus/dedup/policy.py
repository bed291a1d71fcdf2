"""What counts as a duplicate, which of two duplicates stays, and how a decision is written down.

Here: the policy people edit and the schemas of its results. Not here: the work (`leader`).
"""

from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.corpus.dedup.signatures import SignatureConfig

Criterion = Literal["batch", "source", "quality", "newest", "oldest", "longest", "shortest", "locator"]

DECISIONS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("locator", pa.string()),
        ("batch", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("kept_id", pa.string()),
        ("kept_source", pa.string()),
        ("kept_locator", pa.string()),
        ("jaccard", pa.float64()),
    ]
)
"""One row per document: `verdict` kept or dropped; dropped rows have a `reason` (exact_duplicate, near_duplicate,
superseded, deleted, deletion), and duplicates the document kept for them and their exact similarity."""


class DedupPolicy(BaseModel):
    """What counts as a duplicate, and which of two duplicates stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(default=0.8, gt=0, le=1, description="Least exact Jaccard similarity to the leader.")
    order: tuple[Criterion, ...] = Field(
        default=("batch", "source", "quality", "newest", "longest", "locator"),
        description="Who is kept first: earlier batch, source by `sources`, higher quality score, later or earlier date, more "
        "or fewer bytes, lesser locator. With `batch` first, what was kept stays kept when a batch comes.",
    )
    sources: tuple[str, ...] = Field(default=(), description="Sources, the most trusted first; others follow by name.")
    signature: SignatureConfig = SignatureConfig()

    @property
    def history_first(self) -> bool:
        """Whether earlier batches are decided before later ones, so that a new one changes nothing before it."""
        return self.order[:1] == ("batch",)
