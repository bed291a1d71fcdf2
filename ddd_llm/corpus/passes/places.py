"""Where documents stand in a corpus, and whether some of them lie there as if strewn at random. Not here: triggers."""

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEAST_SPREAD = 0.95
_PLACE = re.compile(r"[/#:][^/#:]*\Z")


class Places:
    """Where documents stand: a place is a locator without its last part (folder, module, or file of many documents)."""

    def __init__(self, documents: pa.Table) -> None:
        pairs = zip(documents["source"].to_pylist(), documents["locator"].to_pylist(), strict=True)
        numbers: dict[tuple[str, str], int] = {}
        self._place = np.array(
            [numbers.setdefault((source, _PLACE.sub("", locator)), len(numbers)) for source, locator in pairs]
        )
        _, self._source = np.unique(np.array([source for source, _ in numbers], object), return_inverse=True)
        self._sizes = np.bincount(self._place, minlength=len(numbers))

    def spread(self, rows: npt.NDArray[np.int64]) -> tuple[float, float, bool]:
        """Different places of these documents per place expected if they were drawn at random from their sources; the
        least that looks random (what 19 of 20 draws reach, if that is less than `LEAST_SPREAD`); and whether that says
        anything (places enough for most of them to differ)."""
        places = self._place[rows]
        drawn = np.bincount(self._source[places])
        expected = variance = 0.0
        for source in np.flatnonzero(drawn).tolist():
            sizes = self._sizes[self._source == source]
            share, draws = sizes / sizes.sum(), drawn[source]
            empty = (1 - share) ** draws
            expected += float((1 - empty).sum())
            # Of the number of boxes that draws of unequal chances hit (N. Johnson, S. Kotz, Urn Models, 1977, chapter 3).
            variance += float((empty * (1 - empty)).sum()) - float((draws * share * empty).sum()) ** 2 / float(draws)
        least = min(LEAST_SPREAD, 1 - 1.64 * max(variance, 0.0) ** 0.5 / expected)
        return len(np.unique(places)) / expected, least, expected >= len(rows) / 2
