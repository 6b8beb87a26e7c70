"""Peak memory of ``bistil-ray merge`` on a corpus and on ten copies of it: pack, predict and merge in one process.

usage: python benchmarks/merge_memory.py CORPORA TEACHER WORK    (CORPORA holds en.parquet and sw.parquet)
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1000
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


def merge(corpora: Path, teacher: str, out: Path) -> float:
    """Merge a teacher with itself in this process; give the process's peak memory in MB."""
    from bistil_ray.cli.main import main

    shutil.rmtree(out, ignore_errors=True)
    teachers = ",".join(f"{lang}={teacher}" for lang in LANGS)
    flags = [word for setting in SETTINGS for word in ("--set", setting)]
    shape = ("--layers", "2", "--hidden", "64")
    code = main(("merge", "--teachers", teachers, "--corpora", str(corpora), "--out", str(out), *shape, *flags))
    if code:
        sys.exit(code)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    corpora, teacher, work, *times = sys.argv[1:]
    if times:
        folder = repeat(Path(corpora), Path(work), int(times[0]))
        print(f"{times[0]} x: {merge(folder, teacher, Path(work) / f'student-{times[0]}'):,.0f} MB")
    else:
        for number in ("1", "10"):
            subprocess.run([sys.executable, __file__, corpora, teacher, work, number], check=True)
