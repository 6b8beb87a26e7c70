"""The files of the embedded example: corpora and entity-labelled sets, written when they are first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from ..storage import replacing
from . import lexicon_en, lexicon_ha, lexicon_sw, lexicon_yo
from .lexicon import Lexicon
from .names import is_evaluation_name
from .scene import name_pool
from .sentences import SentenceMaker, Tagged, detokenise

SEED = 2024
VERSION = b"4"
"""Part of every file; raise it when a change here changes the data, so that older files are written anew."""
DOCUMENTS = 6000
SOURCE = "en"
TRANSLATED_SHARE = 0.6
TEXT_INSTITUTIONS, LABELLED_INSTITUTIONS = 0.25, 0.08
"""Share of organisations that each language names in its own words, in text and in labelled sentences."""
SPLITS: Mapping[str, int] = {"train": 2000, "validation": 300, "test": 400}
LEXICONS: Mapping[str, Lexicon] = {
    "en": lexicon_en.LEXICON,
    "sw": lexicon_sw.LEXICON,
    "yo": lexicon_yo.LEXICON,
    "ha": lexicon_ha.LEXICON,
}


@dataclass(frozen=True)
class SamplePaths:
    """Where the embedded example lies."""

    corpora: Path
    """``<lang>.parquet`` with the string column ``text``."""
    task_data: Path
    """``<lang>/{train,validation,test}.parquet`` with ``tokens`` and ``ner_tags``."""
    teachers: Mapping[str, Path]
    """Folders of the tiny teachers that come with the package, by name."""


def materialise(folder: Path) -> SamplePaths:
    """Write the example's Parquet files under ``folder`` where they are not there yet, and say where they are.

    Every file depends on nothing but the seed and its own place in the example, so a folder that was left half
    written is completed to the same bytes. Each file appears whole or not at all. Raises ``OSError`` where the folder
    cannot be written.
    """
    corpora, task_data = folder / "corpora", folder / "ner"
    for language in LEXICONS:
        corpus_file = corpora / f"{language}.parquet"
        if not _is_current(corpus_file):
            _write(corpus_file, pa.table({"text": list(documents(language))}))
        for split in SPLITS:
            task_file = task_data / language / f"{split}.parquet"
            if not _is_current(task_file):
                _write(task_file, _tagged_table(list(tagged_sentences(language, split))))
    return SamplePaths(corpora=corpora, task_data=task_data, teachers=packaged_teachers())


def packaged_teachers() -> dict[str, Path]:
    """The teacher folders that come with the package, by name; empty where none were packaged."""
    root = Path(str(resources.files("bistil_ray.sample"))) / "teachers"
    return {config.parent.name: config.parent for config in sorted(root.glob("*/config.json"))}


def documents(language: str, seed: int = SEED) -> Iterator[str]:
    """The language's corpus: documents of one to three sentences that use all names.

    As in much real text of multilingual countries, some documents outside English say one thing twice, in the language
    and in English.
    """
    random = _generator(seed, "corpus", language)
    pool = name_pool(TEXT_INSTITUTIONS)
    maker, english = (SentenceMaker(LEXICONS[name], pool, random) for name in (language, SOURCE))
    for _ in range(DOCUMENTS):
        if language != SOURCE and random.random() < TRANSLATED_SHARE:
            sentences = random.sample(maker.with_translation(english), 2)
        else:
            sentences = [maker.sentence() for _ in range(random.randint(1, 3))]
        yield " ".join(detokenise([token for token, _ in sentence]) for sentence in sentences)


def tagged_sentences(language: str, split: str) -> Iterator[Tagged]:
    """A labelled split as lists of (token, IOB2 tag).

    Training sets use one half of the names, validation and test sets the other: what a model has only learnt by heart
    in training is of no use to it in the test, what it knows from the corpora is.
    """
    keep = (lambda name: not is_evaluation_name(name)) if split == "train" else is_evaluation_name
    pool = name_pool(LABELLED_INSTITUTIONS, keep)
    maker = SentenceMaker(LEXICONS[language], pool, _generator(SEED, split, language))
    for _ in range(SPLITS[split]):
        yield maker.sentence()


def _generator(seed: int, part: str, language: str) -> Random:
    return Random(f"{seed}/{part}/{language}")


def _tagged_table(sentences: list[Tagged]) -> pa.Table:
    columns = {
        "tokens": [[token for token, _ in sentence] for sentence in sentences],
        "ner_tags": [[tag for _, tag in sentence] for sentence in sentences],
    }
    return pa.table(columns)


def _is_current(file: Path) -> bool:
    if not file.exists():
        return False
    return (pq.read_schema(file).metadata or {}).get(b"bistil_ray.sample") == VERSION


def _write(file: Path, table: pa.Table) -> None:
    with replacing(file) as temporary:
        pq.write_table(table.replace_schema_metadata({"bistil_ray.sample": VERSION}), temporary, compression="zstd")
