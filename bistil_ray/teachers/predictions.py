"""A teacher's predictions for masked tokens, made once and kept on disk: k tokens of each.

A file has a row for each block: its corrupted ids, and for each masked position the true id, the ids of k tokens, their
log-probabilities and the log-sum-exp of the logits, which added to them gives the logits back. All ids are the
teacher's own. The tokens are either the most likely ones, with their
probabilities in the teacher's whole distribution, so that what is left for all others is known; or k draws from it,
of the probability 1 / k each, which on average are the distribution itself. What chance decides for a block depends
on its content and a seed alone, not on where it lies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..data.masking import IGNORED, MaskingVocabulary, corrupt
from ..data.order import Chunk, row_order
from ..models.logits_at import logits_at
from ..storage import replacing

BATCH = 16
"""Blocks that a teacher sees at once: with a large vocabulary, logits are what fills the memory."""
GROUP_BLOCKS = 1024
"""Blocks of a row group: what is held in memory, and shuffled, at a time."""


class Predictions(NamedTuple):
    """N blocks of T tokens with M masked positions in all, in the order of blocks and places: K tokens for each.

    ``inputs_NT`` and ``labels_NT`` (``IGNORED`` where nothing is masked) are int32, ``known_ids_MK`` int32,
    ``log_probabilities_MK`` float16, ``log_sum_exp_M``, that of a place's logits over all tokens, float32.
    """

    inputs_NT: np.ndarray
    labels_NT: np.ndarray
    known_ids_MK: np.ndarray
    log_probabilities_MK: np.ndarray
    log_sum_exp_M: np.ndarray


@dataclass(frozen=True)
class Predictor:
    """A teacher at work: which share of tokens is masked, by which seed, and how many tokens are kept for each.

    ``draws``: they are drawn, instead of the most likely ones.
    """

    teacher: PreTrainedModel
    vocabulary: MaskingVocabulary
    mask: float
    top_k: int
    seed: int
    draws: bool = False

    def predict_file(self, blocks: Path, target: Path) -> None:
        """Read a file of blocks, in portions, and write that of their predictions, whole or not at all."""
        source = pq.ParquetFile(blocks)
        length = source.schema_arrow.field("ids").type.list_size
        with (
            replacing(target) as temporary,
            pq.ParquetWriter(temporary, _schema(length, self.top_k), compression="zstd", use_dictionary=False) as file,
        ):
            for portion in source.iter_batches(GROUP_BLOCKS, columns=["ids"]):
                ids = portion.column("ids").flatten().to_numpy(zero_copy_only=False).reshape(-1, length)
                file.write_table(_to_table(self.predict(ids)))

    @torch.inference_mode()
    def predict(self, ids_NT: np.ndarray) -> Predictions:
        """Corrupt blocks and predict what was there."""
        prepared = [self._prepare(ids_T) for ids_T in ids_NT]
        inputs_NT, labels_NT, chances_NTK = (torch.cat(parts) for parts in zip(*prepared, strict=True))
        parts = [slice(start, start + BATCH) for start in range(0, len(ids_NT), BATCH)]
        known = [self._known(inputs_NT[part], labels_NT[part] != IGNORED, chances_NTK[part]) for part in parts]
        known_ids_MK, log_probabilities_MK, log_sum_exp_M = (torch.cat(parts) for parts in zip(*known, strict=True))
        return Predictions(
            inputs_NT.numpy().astype(np.int32),
            labels_NT.numpy().astype(np.int32),
            known_ids_MK.numpy().astype(np.int32),
            log_probabilities_MK.numpy().astype(np.float16),
            log_sum_exp_M.numpy(),
        )

    def _prepare(self, ids_T: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Corrupt a block, and draw the numbers that tokens are drawn by."""
        digest = hashlib.blake2b(ids_T.astype("<i4").tobytes(), digest_size=8, key=str(self.seed).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
        ids_1T = torch.from_numpy(ids_T.astype(np.int64))[None]
        inputs_1T, labels_1T = corrupt(ids_1T, self.vocabulary, self.mask, generator)
        draws = self.top_k if self.draws else 0
        return inputs_1T, labels_1T, torch.rand(*ids_1T.shape, draws, generator=generator, dtype=torch.float64)

    def _known(self, inputs_BT: Tensor, chosen_BT: Tensor, chances_BTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        device = self.teacher.device
        logits_MV = logits_at(self.teacher, {"input_ids": inputs_BT.to(device)}, chosen_BT.to(device))
        # Rows beyond the vocabulary, which some models have to fill up a power of two, are no tokens.
        logits_MV = logits_MV[:, : self.vocabulary.vocab_size].float()
        total_M = logits_MV.logsumexp(1)
        if self.draws:
            # In float32 the sum over a large vocabulary would be too coarse for its rare tokens.
            sums_MV = logits_MV.double().softmax(1).cumsum(1)
            ids_MK = torch.searchsorted(sums_MV, chances_BTK[chosen_BT].to(device) * sums_MV[:, -1:])
            return ids_MK.cpu(), torch.full(ids_MK.shape, -math.log(self.top_k)), total_M.cpu()
        top_MK = logits_MV.topk(self.top_k)
        return top_MK.indices.cpu(), (top_MK.values - total_M[:, None]).cpu(), total_M.cpu()


def read_predictions(chunk: Chunk) -> Iterator[Predictions]:
    """Read a chunk's blocks in its seeded order, one after the other, N = 1."""
    table = pq.ParquetFile(chunk.file).read_row_group(chunk.group)
    inputs, places, gold, known, scores, totals = (column.combine_chunks() for column in table.columns)
    inputs_NT = _flat(inputs).reshape(len(table), -1)
    k = scores.type.value_type.list_size
    ends = places.offsets.to_numpy()
    places_M, gold_M, totals_M = (column.flatten().to_numpy() for column in (places, gold, totals))
    known_MK = _flat(known.flatten()).reshape(-1, k)
    scores_MK = _flat(scores.flatten()).reshape(-1, k)
    for row in row_order(chunk, len(table)):
        mine = slice(ends[row], ends[row + 1])
        labels_NT = np.full_like(inputs_NT[row : row + 1], IGNORED)
        labels_NT[0, places_M[mine]] = gold_M[mine]
        yield Predictions(inputs_NT[row : row + 1], labels_NT, known_MK[mine], scores_MK[mine], totals_M[mine])


def _to_table(made: Predictions) -> pa.Table:
    masked_NT = made.labels_NT != IGNORED
    ends = pa.array(np.concatenate([[0], masked_NT.sum(1).cumsum()]).astype(np.int32))
    length, k = made.inputs_NT.shape[1], made.known_ids_MK.shape[1]

    def ragged(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(ends, values)

    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(made.inputs_NT.ravel()), length),
        ragged(pa.array(masked_NT.nonzero()[1].astype(np.int32))),
        ragged(pa.array(made.labels_NT[masked_NT])),
        ragged(pa.FixedSizeListArray.from_arrays(pa.array(made.known_ids_MK.ravel()), k)),
        ragged(pa.FixedSizeListArray.from_arrays(pa.array(made.log_probabilities_MK.ravel()), k)),
        ragged(pa.array(made.log_sum_exp_M)),
    ]
    return pa.table(columns, schema=_schema(length, k))


def _schema(length: int, k: int) -> pa.Schema:
    columns = {
        "inputs": pa.list_(pa.int32(), length),
        "places": pa.list_(pa.int32()),
        "gold": pa.list_(pa.int32()),
        "known_ids": pa.list_(pa.list_(pa.int32(), k)),
        "log_probabilities": pa.list_(pa.list_(pa.float16(), k)),
        "log_sum_exp": pa.list_(pa.float32()),
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


def _flat(lists: pa.Array) -> np.ndarray:
    flat: np.ndarray = lists.flatten().to_numpy(zero_copy_only=False)
    return flat
