"""Check that a sweep over the sample left what the README promises: ``check_sweep.py STORAGE LANG...``."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
from transformers import pipeline

from bistil_ray.results.records import Record, read_records

# A little below what was measured (see benchmarks/students.md): processors round differently.
LEAST_TEACHER_SCORE = 0.78
LARGEST_LOSS = 0.06


def check_scores(lang: str, records: list[Record]) -> None:
    """The language has a good teacher, and a student that keeps its transfer."""
    mine = [record for record in records if record.lang == lang]
    teacher = max(record.score for record in mine if not record.is_student)
    student = max(record.score for record in mine if record.is_student)
    assert teacher > LEAST_TEACHER_SCORE, f"{lang}: the better teacher scores {teacher:.3f}"
    assert student > teacher - LARGEST_LOSS, f"{lang}: student {student:.3f}, teacher {teacher:.3f}"
    print(f"{lang}: teacher {teacher:.3f}, student {student:.3f}")


def check_model(folder: Path, sentences: list[str]) -> None:
    """The language's best student is whole and finds names in text."""
    assert (folder / "model.safetensors").is_file(), f"{folder} holds no weights"
    tagger = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")
    found = sum(len(entities) for entities in tagger(sentences))
    assert found >= len(sentences) / 2, f"{folder} finds {found} names in {len(sentences)} sentences"
    print(f"{folder}: {found} names in {len(sentences)} sentences")


def main(storage: Path, langs: list[str]) -> None:
    """Check the newest run in ``storage``."""
    run = max(storage.glob("*/results.jsonl"), key=lambda file: file.stat().st_mtime).parent
    records = read_records(run)
    for lang in langs:
        check_scores(lang, records)
        rows = pq.read_table(storage / "sample" / "ner" / lang / "test.parquet")["tokens"].to_pylist()
        check_model(run / "best" / lang, [" ".join(tokens) for tokens in rows[:50]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
