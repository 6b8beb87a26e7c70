"""How often each token id occurs."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError

# Ids are widened to 64 bits for counting; a million at a time stay in the processor's cache.
_CHUNK = 1 << 20


def count_ids(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """Count each of the integer ``ids`` (any shape): int64 counts of shape (V,), V = ``vocab_size``.

    Counts of several shards or corpora add up. Raises ModelError for an id outside [0, V): the ids then come
    from another tokenizer than the vocabulary.
    """
    counts = np.zeros(vocab_size, dtype=np.int64)
    flat = ids.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        chunk = flat[start : start + _CHUNK]
        lowest, highest = int(chunk.min()), int(chunk.max())
        if lowest < 0 or highest >= vocab_size:
            wrong = lowest if lowest < 0 else highest
            raise ModelError(
                f"token id {wrong} is outside the vocabulary of {vocab_size} tokens (0 to {vocab_size - 1})"
            )
        counts += np.bincount(chunk, minlength=vocab_size)
    return counts
