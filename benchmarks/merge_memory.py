"""Peak memory of ``bistil-ray merge``: ``python -m benchmarks.merge_memory CORPORA TEACHER WORK``.

Pack, predict and merge run in one process, on a corpus and on ten copies of it; CORPORA holds en.parquet and
sw.parquet, and TEACHER is merged with itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .alone import peak_megabytes, run_alone

ROWS = 1000
TIMES = (1, 10)
LANGS = ("en", "sw")
SETTINGS = ("packing.length=64", "merge.steps=12", "merge.batch_size=64", "merge.evaluations=1")


def repeat(corpora: Path, work: Path, times: int) -> Path:
    """Write the first rows of each corpus so many times."""
    folder = work / f"corpora-{times}"
    folder.mkdir(parents=True, exist_ok=True)
    for lang in LANGS:
        table = pq.read_table(corpora / f"{lang}.parquet", columns=["text"]).slice(0, ROWS)
        pq.write_table(pa.concat_tables([table] * times), folder / f"{lang}.parquet", row_group_size=ROWS)
    return folder


def merge(corpora: Path, teacher: str, work: Path, times: int) -> float:
    """Merge a teacher with itself on so many copies, in this process; give the process's peak memory in MB."""
    from bistil_ray.cli.main import main  # type: ignore[import-not-found]  # checked as cli.main

    folder, out = repeat(corpora, work, times), work / f"student-{times}"
    shutil.rmtree(out, ignore_errors=True)
    teachers = ",".join(f"{lang}={teacher}" for lang in LANGS)
    flags = [word for setting in SETTINGS for word in ("--set", setting)]
    shape = ("--layers", "2", "--hidden", "64")
    code = main(("merge", "--teachers", teachers, "--corpora", str(folder), "--out", str(out), *shape, *flags))
    if code:
        sys.exit(code)
    return peak_megabytes()


def main() -> None:
    """Merge on one corpus after the other, each in a process of its own, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.merge_memory", description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("work", type=Path)
    chosen = parser.parse_args()
    for times in TIMES:
        megabytes = run_alone(merge, chosen.corpora, chosen.teacher, chosen.work, times)
        print(f"{times} x: {megabytes:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
