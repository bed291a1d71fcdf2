"""The head of a fastText model file (format version 12): its labels, and whether the file is whole.

Here: reading the file's form, because the library ends the whole process on a truncated one and cannot list labels. Not here:
scores (`classifier`). Source of the form: fastText 0.9.2, `FastText::saveModel`, `Args::save`, `Dictionary::save`,
`DenseMatrix::save` (MIT).
"""

from __future__ import annotations

import struct

MAGIC, VERSION = 793_712_314, 12
SUPERVISED = 3
LABEL = 1


def labels_of(data: bytes) -> list[str]:
    """The labels of a supervised model, in file order.

    Raises:
        ValueError: no supervised fastText model of version 12, or a truncated one (of a quantised model, .ftz, only
            the head is looked at).
    """
    try:
        return _read(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a whole fastText model ({type(error).__name__})") from None


def _read(data: bytes) -> list[str]:
    if struct.unpack_from("<ii", data) != (MAGIC, VERSION):
        raise ValueError("not a fastText model of format version 12")
    # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
    if struct.unpack_from("<12id", data, 8)[7] != SUPERVISED:
        raise ValueError("not a supervised fastText model")
    at = 8 + struct.calcsize("<12id")
    size, _, _, _, pruned = struct.unpack_from("<iiiqq", data, at)
    at += struct.calcsize("<iiiqq")
    labels = []
    for _ in range(size):
        end = data.find(b"\0", at)
        if end < 0:
            raise ValueError("not a whole fastText model (dictionary)")
        _, kind = struct.unpack_from("<qb", data, end + 1)
        if kind == LABEL:
            labels.append(data[at:end].decode("utf-8"))
        at = end + 1 + 9
    at += 8 * max(0, pruned)
    (quantised,) = struct.unpack_from("<?", data, at)
    at += 1
    for _ in range(0 if quantised else 2):
        rows, columns = struct.unpack_from("<qq", data, at)
        at += 16 + 4 * rows * columns
        if rows < 0 or columns < 0 or at > len(data):
            raise ValueError("not a whole fastText model (matrices)")
        at += 1  # whether the output matrix is quantised; nothing follows that matrix
    return labels
