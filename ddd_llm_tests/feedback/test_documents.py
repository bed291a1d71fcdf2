"""Which documents an item may rest on: those of the curated corpus, by id or by place; one that is not there closes the item."""

from __future__ import annotations

import pyarrow as pa

from ddd_llm.feedback.documents import rest_on
from ddd_llm_tests.feedback.samples import item

DOCUMENTS = pa.table({"id": ["d1", "d2"], "source": ["wiki", "wiki"], "locator": ["a.md", "b.md"]})


def test_places_become_ids_and_what_is_not_curated_closes_the_item() -> None:
    by_id, by_place, none = (
        item(prompt=f"{n}?", source_ids=s) for n, s in enumerate((("d1",), ("wiki/b.md", "d2"), ()))
    )
    gone, half = item(prompt="gone?", source_ids=("d3",)), item(prompt="half?", source_ids=("d1", "wiki/c.md"))
    found = rest_on([by_id, by_place, none, gone, half], DOCUMENTS)
    assert found.sources == {by_id.id: ("d1",), by_place.id: ("d2",), none.id: ()}
    assert found.refused.keys() == {gone.id, half.id}
    assert "1 of its documents" in found.refused[half.id]
