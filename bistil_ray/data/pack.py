"""Text to ids to blocks: what a worker does with one shard of a corpus, without torch or transformers.

Documents are tokenised with their sentence markers, one after the other, and cut into blocks of a fixed
length without padding, as the published BISTIL code packs its text. A shard's last, incomplete block is
dropped: at most length - 1 ids.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from ..storage import replacing
from ..vocab.count import count_ids
from .corpus import Shard, read_texts

# Blocks of a row group: what is read, and shuffled, at a time.
GROUP_BLOCKS = 4096


@dataclass(frozen=True)
class PackedShard:
    """What became of a shard: blocks written, facts about held-out documents, rows left out by reason.

    ``held_out_characters`` are code points of the text as it stands in the corpus, ``held_out_pieces`` its
    tokens that are neither special nor unknown: with the mean loss of a piece they give bits per character.
    """

    blocks: int
    held_out_blocks: int
    held_out_characters: int
    held_out_pieces: int
    tally: Counter[str]


def pack_shard(
    shard: Shard,
    column: str,
    tokenizer_json: str,
    length: int,
    held_out_share: float,
    seed: int,
    blocks_folder: str,
    held_out_folder: str,
) -> PackedShard:
    """Tokenise a shard once and write its blocks, those of held-out documents apart; ``tokenizer_json`` is a whole one.

    Each folder gets one file named after the shard, whole or not at all, so that doing a shard twice
    changes nothing.
    """
    tokenizer = _tokenizer(tokenizer_json)
    countable = np.ones(_vocab_size(tokenizer), dtype=bool)
    countable[[token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special]] = False
    tally: Counter[str] = Counter()
    characters = pieces = 0
    place = shard.uri.partition("?")[0] if "://" in shard.uri else shard.uri
    name = f"{PurePosixPath(place).stem}-{shard.row_group:05d}.parquet"
    with (
        block_file(Path(blocks_folder, name), length) as blocks,
        block_file(Path(held_out_folder, name), length) as held_out,
    ):
        for texts in read_texts(shard, column, tally):
            for text, ids in zip(texts, tokenise_texts(tokenizer, texts), strict=True):
                if is_held_out(text, held_out_share, seed):
                    held_out.add(ids)
                    characters += len(text)
                    pieces += int(countable[ids].sum())
                else:
                    blocks.add(ids)
    return PackedShard(blocks.written, held_out.written, characters, pieces, tally)


def count_shard(shard: Shard, column: str, tokenizer_json: str) -> np.ndarray:
    """Count how often each token occurs in a shard, sentence markers not added: int64 (V,)."""
    tokenizer = _tokenizer(tokenizer_json)
    counts = np.zeros(_vocab_size(tokenizer), dtype=np.int64)
    for texts in read_texts(shard, column, Counter()):
        ids = tokenise_texts(tokenizer, texts, markers=False)
        if ids:
            counts += count_ids(np.concatenate(ids), len(counts))
    return counts


def is_held_out(text: str, share: float, seed: int) -> bool:
    """Tell whether a document is kept for measuring: ``share`` of all, chosen by content and ``seed`` alone.

    So the choice does not depend on files, shards or order, and copies of a document are all on one side.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def tokenise_texts(tokenizer: Tokenizer, texts: Sequence[str], markers: bool = True) -> list[np.ndarray]:
    """Give the ids of each text, int32, whole; with ``markers`` between the tokenizer's sentence markers.

    Runs in parallel where TOKENIZERS_PARALLELISM allows it.
    """
    # Both come with some tokenizer files, or are left over from earlier calls.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=markers)
    return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]


def documents_in(blocks_NT: np.ndarray, start: int | None) -> list[list[int]]:
    """Take packed blocks apart again: the ids of each document, or of what a block holds of it.

    ``start`` is the id of the marker that documents begin with; where they have none, blocks stay whole.
    """
    begins = np.zeros_like(blocks_NT, dtype=bool) if start is None else blocks_NT == start
    begins[:, 0] = True
    return [ids.tolist() for ids in np.split(blocks_NT.reshape(-1), np.flatnonzero(begins)[1:])]


class BlockFile:
    """A Parquet file of blocks being written, the stream of documents cut at every ``length`` ids.

    It has one column, ``ids``, of lists of fixed size. What does not fill a block at the end is left out.
    """

    def __init__(self, writer: pq.ParquetWriter, length: int) -> None:
        """Write through ``writer``."""
        self._writer, self._length = writer, length
        self._waiting: list[np.ndarray] = []
        self._new_ids = 0
        self.written = 0

    def add(self, ids: np.ndarray) -> None:
        """Append a document, int32."""
        self._waiting.append(ids)
        self._new_ids += len(ids)
        if self._new_ids >= GROUP_BLOCKS * self._length:
            self.flush()

    def flush(self) -> None:
        """Write the full blocks so far as a row group; what is left over begins the next one."""
        stream = np.concatenate([np.empty(0, dtype=np.int32), *self._waiting])
        full = len(stream) - len(stream) % self._length
        self._waiting, self._new_ids = [stream[full:].copy()], 0
        if full:
            column = pa.FixedSizeListArray.from_arrays(pa.array(stream[:full]), self._length)
            self._writer.write_table(pa.table([column], schema=self._writer.schema))
            self.written += full // self._length


@contextmanager
def block_file(path: Path, length: int) -> Iterator[BlockFile]:
    """Write a file of blocks that appears at ``path`` when the block of code ends well."""
    # Lists are never null nor are ids: without these levels a file is smaller and read faster.
    schema = pa.schema(
        [pa.field("ids", pa.list_(pa.field("element", pa.int32(), nullable=False), length), nullable=False)]
    )
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        file = BlockFile(writer, length)
        yield file
        file.flush()


@lru_cache(maxsize=4)
def _tokenizer(tokenizer_json: str) -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json)


def _vocab_size(tokenizer: Tokenizer) -> int:
    # A vocabulary may have gaps, so its highest id counts, not its number of tokens.
    return max(tokenizer.get_vocab().values()) + 1
