"""Which texts have been met before, in eight bytes a text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


class SeenTexts:
    """Remembers texts by 64-bit hashes: 8 bytes each, for a moment 16 while two runs of them become one.

    Two different texts are taken for the same with a chance of n^2 / 2^65 among n: 1 in 3,700 for a hundred million.
    """

    def __init__(self) -> None:
        """Start with none."""
        # Sorted arrays, each at least twice as long as the next, so that their number grows with the logarithm.
        self._runs: list[np.ndarray] = []

    def are_new(self, texts: Sequence[str]) -> np.ndarray:
        """Tell for each text whether it is met for the first time, bool (N,), and remember all of them."""
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
        fresh, first = np.unique(np.frombuffer(digests, dtype=np.uint64), return_index=True)
        for run in self._runs:
            known = run[np.searchsorted(run, fresh).clip(max=len(run) - 1)] == fresh
            fresh, first = fresh[~known], first[~known]
        if len(fresh):
            self._remember(fresh)
        new = np.zeros(len(texts), dtype=bool)
        new[first] = True
        return new

    def _remember(self, hashes: np.ndarray) -> None:
        self._runs.append(hashes)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.concatenate(self._runs[-2:])]
            self._runs[-1].sort()
