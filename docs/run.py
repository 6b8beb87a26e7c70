"""Runs every command and Python program of the documents, and says which were left out and why.

``python -m docs.run [DOCUMENT...]``: all documents, or those named, such as ``first-sweep``. Each has a folder of its
own that holds what the documents take for granted: corpora, labels and teachers, which are those of the embedded sample
under the names that the documents give them. Runs are shared, so that one document can go on with what another has
made. Training is cut to a few steps. Exit code 1 if something failed.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from bistil_ray.sample.generate import SamplePaths, materialise

from .reading import GENERATED, Example, documents, examples

FIRST = ("first-sweep", "task-data", "choosing", "deploying")
"""Guides that are read in this order, before all others."""

TEACHERS = {
    "sample-base": "T A english models/A models/mini-mbert Davlan/afro-xlmr-base FacebookAI/xlm-roberta-base".split(),
    "sample-small": "B swahili models/B google-bert/bert-base-multilingual-cased".split(),
}
"""The sample's teachers, by the places that documents name."""

SKIPPED = {
    r"hf://|wikimedia/|--push|\bhf auth|huggingface": "needs the hub",
    r"(s3|gs)://": "needs a bucket",
    r"--address|(?<![-\w])ray |kubectl ": "needs a cluster",
    r"cluster +(render +(aws|gcp)|validate)": "holds names of a cloud account",
    r"--serve|^tensorboard|^optuna-dashboard|^mlflow": "serves until it is stopped",
    r"^make ": "is run by .ci/run",
    r"^pip ": "changes the installation",
}
"""Why a command is not run, by what is in it."""

# The sample's teachers have 4 and 2 layers of 128 units; its corpora are there before the README builds one; the runs
# that documents look at are those of first-sweep.md.
REPLACED = {
    "news.txt --lang sw --out corpora/": "news.txt --lang sw --out built/",
    "runs/mine": "runs/first",
    "runs/other": "runs/second",
    "--layers 6,4": "--layers 2,1",
    "--layers 6": "--layers 2",
    "--hidden 384": "--hidden 64",
    "embedding_rank=128": "embedding_rank=32",
    "[0,2,4,7,9,11]": "[0,3]",
    "--config african-ner": "--config african-ner --set layers=1",
    "--config bistil-paper": "--config bistil-paper --set layers=1",
}

FEW_STEPS = " ".join(
    f"--set {setting}"
    for setting in (
        "packing.length=64 packing.held_out=0.1 distil.steps=12 distil.evaluations=1 adapt.dense_steps=4 "
        "adapt.sparse_steps=4 merge.steps=8 teach.epochs=0.1 teach.sparse_epochs=0.1 teach.max_length=64 "
        "finetune.dense_epochs=0.05 finetune.sparse_epochs=0.05 finetune.max_length=64"
    ).split()
)
CUT_SHORT = dict.fromkeys(("sweep", "distill", "finetune", "adapt", "merge"), FEW_STEPS) | {
    "pretrain": "--steps 8 --length 16",
    "bench": "--seconds 0",
}
"""What is added to a command, so that it takes seconds."""

BUILDS = {"corpora": "yo.parquet"}
"""The corpus that a document makes itself."""

DOCUMENTS = 400
"""So many texts of each corpus of the sample are enough here."""

LONGEST_SECONDS = 1800


def lay_out(folder: Path, sample: SamplePaths, runs: Path) -> None:
    """Put into a new folder, named after a document, what that takes for granted."""
    (folder / "corpora").mkdir(parents=True)
    for corpus in (path for path in sample.corpora.iterdir() if path.name != BUILDS.get(folder.name)):
        pq.write_table(pq.read_table(corpus).slice(0, DOCUMENTS), folder / "corpora" / corpus.name)
    places = {"ner": sample.task_data, "runs": runs}
    places |= {name: sample.teachers[teacher] for teacher, names in TEACHERS.items() for name in names}
    for name, target in places.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target)
    _write_raw_texts(folder, sample.corpora)


def _write_raw_texts(folder: Path, corpora: Path) -> None:
    """Write text as people have it before it is a corpus."""
    yoruba, english = (
        pq.read_table(corpora / f"{lang}.parquet")["text"].slice(0, DOCUMENTS).to_pylist() for lang in ("yo", "en")
    )
    raw = folder / "raw"
    raw.mkdir()
    for name, between in (("news.txt", "\n"), ("book.txt", "\n\n")):
        (raw / name).write_text(between.join(yoruba), encoding="utf-8")
    (folder / "news.txt").symlink_to(raw / "news.txt")
    with gzip.open(raw / "web.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text, "lang": "yo"}) + "\n" for text in yoruba)
    with (raw / "parallel.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("English", "Yoruba"), *zip(english, yoruba, strict=False)])
    pq.write_table(pa.table({"text": english}), folder / "english.parquet")


def cut_short(command: str, document: str) -> str:
    """Give a command of a document as it is run here: on the sample's small teachers, for a few steps.

    A run that documents call their reader's own is each document's own.
    """
    for shape, smaller in REPLACED.items():
        command = command.replace(shape, smaller)
    command = command.replace("--name mine", f"--name mine-{document}")
    words = command.split()
    more = CUT_SHORT.get(words[1], "") if words[0] == "bistil-ray" and len(words) > 1 else ""
    asked, redirect, file = command.partition(" > ")
    return f"{asked} {more}".rstrip() + redirect + file


def run(example: Example, folder: Path) -> str:
    """Run a command or a program in ``folder``; give the reason why it failed, and nothing if it did not."""
    if example.language == "python":
        command = [sys.executable, "-c", example.text]
    else:
        command = ["bash", "-c", cut_short(example.text, folder.name)]
    there = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    try:
        ended = subprocess.run(command, cwd=folder, env=there, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        return f"not done after {LONGEST_SECONDS} seconds"
    last = (ended.stderr or ended.stdout).strip().splitlines()[-1:]
    return "" if ended.returncode == 0 else f"exit code {ended.returncode}: {''.join(last)[:300]}"


def why_skipped(example: Example) -> str | None:
    """Say why a command is not run here; None for one that is."""
    if example.language == "python":
        return None
    return next((reason for pattern, reason in SKIPPED.items() if re.search(pattern, example.text)), None)


def main(names: list[str], work: Path) -> int:
    """Run the documents ``names``, all if there are none, in the empty folder ``work``; give the exit code."""
    sample, runs = materialise(work / "sample"), work / "runs"
    runs.mkdir()
    every = {path.stem: path for path in documents() if path.name not in GENERATED}
    counts = {"ok": 0, "skipped": 0, "FAILED": 0}
    for name in names or [*FIRST, *(name for name in every if name not in FIRST)]:
        found = list(examples(every[name].read_text(encoding="utf-8")))
        lay_out(work / name, sample, runs)
        for example in found:
            began, reason = time.monotonic(), why_skipped(example)
            failure = "" if reason else run(example, work / name)
            state = "skipped" if reason else "FAILED" if failure else "ok"
            counts[state] += 1
            shown = example.text if example.language != "python" else f"python: {example.text.splitlines()[0]} ..."
            remark = f"  ({reason or failure})" if reason or failure else ""
            typer.echo(f"{state:7} {time.monotonic() - began:4.0f} s  {name}: {shown}{remark}")
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="documents-") as temporary:
        sys.exit(main(sys.argv[1:], Path(temporary)))
