"""Raw data to a corpus: documents cleaned, each kept once, and written in shards that a sweep reads.

Everything is a stream: in memory are one row group of text and 8 to 16 bytes for each document kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError, StorageError
from ..storage import local_path, replaceable, replacing
from .documents import Document, Selection, select_documents
from .parquet import SUFFIX
from .raw import Layout, RawInput
from .seen import SeenTexts

_SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "source", "licence")])
# Characters of text in a row group, which is what one worker packs, and row groups in a file: 256 million characters.
_GROUP_CHARACTERS = 4_000_000
_GROUPS_PER_PART = 64
# Characters of the documents that are looked up at once among those seen.
_LOOKUP_CHARACTERS = 250_000


@dataclass
class BuildReport:
    """What became of the rows: ``dropped`` by reason; words are what stands between white space."""

    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    words: int = 0
    characters: int = 0
    parts: int = 0

    @property
    def read(self) -> int:
        """Rows read so far."""
        return self.kept + self.dropped.total()

    def record(self) -> dict[str, int | dict[str, int]]:
        """Give everything as plain data."""
        return {"read": self.read} | vars(self) | {"dropped": dict(self.dropped)}


def corpus_folder(out: Path, language: str) -> Path:
    """Give the folder of a language's shards, ``<out>/<language>``; StorageError if there is a corpus already."""
    folder, single = local_path(out / language), local_path(out / (language + SUFFIX))
    if single.exists():
        raise StorageError(f"{single} exists already and would be read instead: choose another --out")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already: remove it or choose another --out")
    return replaceable(folder)


def build_corpus(
    inputs: Iterable[RawInput],
    layout: Layout,
    selection: Selection,
    folder: Path,
    progress: Callable[[BuildReport], None] = lambda report: None,
) -> BuildReport:
    """Write the documents of all inputs to ``folder/part-00000.parquet`` and on; the folder appears when all is done.

    The columns are ``text``, ``source`` and ``licence``. ``progress`` gets the report as it stands, again and again.
    DataError if an input cannot be read or no document is left.
    """
    report = BuildReport()
    documents = select_documents(inputs, layout, selection, report.dropped)
    with replacing(folder) as temporary:
        temporary.mkdir()
        kept = _batches(_each_once(documents, report, progress), _GROUP_CHARACTERS)
        report.parts = _write_parts(map(_table, kept), temporary)
        if not report.kept:
            reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in report.dropped.items())
            raise DataError(f"no document is left of {report.read:,} rows{f': {reasons}' if reasons else ''}")
    return report


def _each_once(
    documents: Iterator[Document], report: BuildReport, progress: Callable[[BuildReport], None]
) -> Iterator[Document]:
    """Pass each text on once and count what is kept."""
    seen = SeenTexts()
    for batch in _batches(documents, _LOOKUP_CHARACTERS):
        for document, is_new in zip(batch, seen.are_new([document.text for document in batch]), strict=True):
            if is_new:
                report.kept += 1
                report.words += document.text.count(" ") + 1
                report.characters += len(document.text)
                yield document
            else:
                report.dropped["duplicate"] += 1
        progress(report)


def _batches(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Gather documents until their texts have so many characters."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _table(documents: list[Document]) -> pa.Table:
    columns = ([getattr(document, name) for document in documents] for name in _SCHEMA.names)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=_SCHEMA)


def _write_parts(groups: Iterator[pa.Table], folder: Path) -> int:
    """Write row groups into files of a bounded size; give the number of files."""
    parts = 0
    while (first := next(groups, None)) is not None:
        file = folder / f"part-{parts:05d}{SUFFIX}"
        with pq.ParquetWriter(file, _SCHEMA, compression="zstd", use_dictionary=["source", "licence"]) as writer:
            for group in chain([first], islice(groups, _GROUPS_PER_PART - 1)):
                writer.write_table(group)
        parts += 1
    return parts
