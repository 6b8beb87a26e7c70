"""How packing and a step of phase 1 grow with the corpus, the vocabulary, the layers and the workers.

``python -m benchmarks.growth CORPORA TEACHER WORK``: CORPORA holds en.parquet and sw.parquet; of TEACHER the tokenizer
and the width are used, its weights are not. Each line comes from a process of its own with one thread, one after the
other: seconds of CPU and the most memory it held, Python and libraries included.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist
from transformers import AutoConfig

from bistil_ray.steps.context import Job, LocalContext

from .alone import peak_megabytes, run_alone
from .step.process import Side
from .step.product import ProductStep
from .step.shapes import Shape, make_batch, make_student, make_teacher

LANGS = ("en", "sw")
ROWS = 2000
TIMES = (4, 16)
"""Besides one, how many copies of the first ``ROWS`` rows of each language a corpus has."""
MOST = 1
"""Megabytes of a language that are packed of the largest corpus, once more."""
THRESHOLDS = (1e-6, 1e-4, 1e-3, 0.0)
LAYERS = (2, 4, 8, 12)
"""Layers of the teacher; its student has half."""
WORKERS = (1, 2, 4)
"""Processes that share the rows of each batch."""
BATCH, SHARED, LENGTH, STEPS = 4, 16, 64, 3
"""Blocks in a batch, and in one that workers share; tokens of a block; steps after the first."""


class Packed(NamedTuple):
    """What packing cost, and what came of it."""

    seconds: float
    megabytes: float
    vocabulary: int
    blocks: int


def copies(corpora: Path, work: Path, times: int) -> tuple[Path, float]:
    """Write the first rows of each corpus so many times and give their megabytes of text.

    Each copy has a number behind, so that no text is there twice.
    """
    folder, size = work / f"corpora-{times}", 0
    folder.mkdir(parents=True, exist_ok=True)
    for lang in LANGS:
        texts = pq.read_table(corpora / f"{lang}.parquet", columns=["text"]).slice(0, ROWS)["text"].to_pylist()
        copied = [f"{text} ({number})" for number in range(times) for text in texts]
        pq.write_table(pa.table({"text": copied}), folder / f"{lang}.parquet", row_group_size=ROWS)
        size += sum(len(text.encode()) for text in copied)
    return folder, size / 1e6


def pack(corpora: Path, tokenizer: str, threshold: float, most: int | None, folder: Path) -> Packed:
    """Pack both languages in this process, of each so many megabytes at the ``most``."""
    from bistil_ray.steps.pack import run

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "languages": LANGS, "column": "text", "threshold": threshold, "keep_characters": False, "length": LENGTH,
        "held_out": 0.01, "max_megabytes": most, "seed": 0,
    }  # fmt: skip
    inputs = {"tokenizer": tokenizer, **dict.fromkeys(LANGS, str(corpora))}
    began = time.process_time()
    made = run(Job("pack", settings, inputs, {}, folder), LocalContext())
    seconds, blocks = time.process_time() - began, sum(lang["blocks"] for lang in made["languages"].values())
    return Packed(seconds, peak_megabytes(), made["vocab_size"], blocks)


def distil(shape: Shape) -> tuple[float, float]:
    """Give the median CPU seconds of a phase-1 step and the peak memory of its process in MB."""
    side = Side(ProductStep, shape, "fp32", threads=1)
    steps = [side.step(number).took.cpu_seconds for number in range(STEPS + 1)]
    return median(steps[1:]), side.end().resident  # the first step allocates


def distil_together(shape: Shape, workers: int) -> tuple[float, float]:
    """Share every batch among ``workers`` processes; give ``distil``'s figures of the one that needs most."""
    with TemporaryDirectory() as folder, ProcessPoolExecutor(workers, get_context("spawn")) as together:
        rank = partial(_distil_as_rank, replace(shape, batch=shape.batch // workers), f"file://{folder}/meeting")
        figures = list(together.map(rank, range(workers), repeat(workers)))
    return max(seconds for seconds, _ in figures), max(peak for _, peak in figures)


def _distil_as_rank(shape: Shape, meeting: str, rank: int, workers: int) -> tuple[float, float]:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    teacher = make_teacher(shape)
    step, seconds = ProductStep(teacher, make_student(shape, teacher), 1e-4, "fp32"), []
    for number in range(STEPS + 1):
        began = time.process_time()
        step(make_batch(shape, number * workers + rank))
        seconds.append(time.process_time() - began)
    dist.destroy_process_group()
    return median(seconds[1:]), peak_megabytes()


def main() -> None:
    """Measure one after the other and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("work", type=Path)
    chosen = parser.parse_args()
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

    vocabularies = set()
    packs: list[tuple[int, float, int | None]] = [(1, threshold, None) for threshold in THRESHOLDS]
    packs += [*((times, THRESHOLDS[0], None) for times in TIMES), (TIMES[-1], THRESHOLDS[0], MOST)]
    for times, threshold, most in packs:
        corpora, text = copies(chosen.corpora, chosen.work, times)
        folder = chosen.work / f"pack-{times}-{threshold:g}-{most}"
        made = run_alone(pack, corpora, chosen.teacher, threshold, most, folder)
        if times == 1:
            vocabularies.add(made.vocabulary)
        print(
            f"pack: {text:.1f} MB ({most or 'all'} a language), threshold {threshold:g}: {made.vocabulary:,} tokens, "
            f"{made.blocks:,} blocks, {made.seconds:.1f} s of CPU, {made.megabytes:.0f} MB",
            flush=True,
        )

    width = AutoConfig.from_pretrained(chosen.teacher)
    heads, deepest = width.num_attention_heads, LAYERS[-1]
    for workers in WORKERS:
        shape = Shape(width.hidden_size, heads, sorted(vocabularies)[-2], SHARED, LENGTH, deepest, deepest // 2)
        seconds, peak = distil_together(shape, workers)
        print(f"phase 1: {workers} workers: {1000 * seconds:.0f} ms of CPU a step, {peak:.0f} MB each", flush=True)
    shapes = {(deepest, vocabulary) for vocabulary in vocabularies} | {(n, min(vocabularies)) for n in LAYERS}
    for layers, vocabulary in sorted(shapes):
        shape = Shape(width.hidden_size, heads, vocabulary, BATCH, LENGTH, layers, layers // 2)
        seconds, peak = distil(shape)
        print(
            f"phase 1: {layers} layers to {layers // 2}, {vocabulary:,} tokens: {1000 * seconds:.0f} ms of CPU a step, "
            f"{peak:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
