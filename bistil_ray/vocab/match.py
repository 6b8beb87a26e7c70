"""Finding a student's vocabulary again in that of a teacher."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..errors import ModelError


def kept_by_name(teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase) -> np.ndarray:
    """Give, for each of the student's ids in order, the teacher's id of the same token: int64, ascending.

    Raises ModelError where the student's vocabulary is not a cut of the teacher's.
    """
    known = teacher.get_vocab()
    tokens = sorted(student.get_vocab().items(), key=lambda entry: entry[1])
    strange = [token for token, _ in tokens if token not in known]
    if strange:
        raise ModelError(
            f"{len(strange)} tokens of the student, such as {strange[0]!r}, are not in the teacher's vocabulary: "
            "use the teacher that the student was distilled from (--teacher)"
        )
    kept = np.array([known[token] for token, _ in tokens], dtype=np.int64)
    if np.any(np.diff(kept) <= 0):
        raise ModelError(
            "the student's tokens stand in another order than the teacher's: it is no cut of this teacher (--teacher)"
        )
    return kept
