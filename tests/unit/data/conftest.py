"""Parquet files, good and bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast


@pytest.fixture
def tokenizer_json(tokenizer: PreTrainedTokenizerFast) -> str:
    """The WordPiece tokenizer as text."""
    return tokenizer.backend_tokenizer.to_str()


@pytest.fixture
def write_texts(tmp_path: Path) -> Callable[..., str]:
    """A function writing rows as a corpus: ``write_texts("sw.parquet", rows)``; bytes need not be UTF-8."""

    def write(name: str, rows: Sequence[str | bytes | None], rows_per_group: int = 1000) -> str:
        values = [row.encode() if isinstance(row, str) else row for row in rows]
        binary = pa.array(values, pa.binary())
        column = pa.Array.from_buffers(pa.string(), len(binary), binary.buffers(), binary.null_count)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"source": ["test"] * len(values), "text": column})
        pq.write_table(table, path, row_group_size=rows_per_group)
        return str(path)

    return write


@pytest.fixture
def damage_texts() -> Callable[[str], None]:
    """A function overwriting the texts inside a Parquet file, its footer staying whole."""

    def damage(path: str) -> None:
        chunk = pq.read_metadata(path).row_group(0).column(1)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        content = bytearray(Path(path).read_bytes())
        content[start : start + chunk.total_compressed_size] = b"\x5a" * chunk.total_compressed_size
        Path(path).write_bytes(content)

    return damage
