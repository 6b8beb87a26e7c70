"""Between a corpus and a training step: ``python -m benchmarks.feed CORPORA TEACHER [--lang L] [--length T]``.

Prints how fast text is tokenised and packed next to a plain loop, what the feed adds to a step, when the first batch is
there, how much faster all cores pack than one, how memory grows with the corpus, and how fast ids are counted. CPU time
is that of one process with one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer

from bistil_ray.data.corpus import Shard, corpus_files, list_shards
from bistil_ray.data.masking import MaskingVocabulary
from bistil_ray.data.pack import pack_shard
from bistil_ray.models.loading import load_masked_lm, load_tokenizer
from bistil_ray.models.student import build_student
from bistil_ray.steps.blocks import BlockStream
from bistil_ray.steps.context import Context, LocalContext
from bistil_ray.vocab.count import count_ids

from .alone import peak_megabytes, run_alone
from .step.product import ProductStep

BATCH, STEPS, FOREVER = 16, 12, 100_000
COUNTED, VOCABULARY = 20_000_000, 120_000
TIMES = 20
PARTS = 16


class Took(NamedTuple):
    """Seconds on the clock, and of this process's CPU time."""

    seconds: float
    cpu_seconds: float


class Given(NamedTuple):
    """What is measured with: files of text, the folder of a teacher, the length of blocks."""

    files: tuple[str, ...]
    teacher: str
    length: int


def main() -> None:
    """Measure and print one line for each question."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__)
    parser.add_argument("corpora")
    parser.add_argument("teacher")
    parser.add_argument("--lang", default="sw")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rows", type=int, default=10_000, help="documents of the corpus that are taken")
    chosen = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        work, text = Path(name), str(Path(name, "text.parquet"))
        rows = pa.concat_tables(pq.read_table(file) for file in corpus_files(chosen.corpora, chosen.lang))
        pq.write_table(rows.slice(0, chosen.rows), text)
        given = Given((text,), chosen.teacher, chosen.length)
        _print("packing, share of the plain loop's speed", "{:.2f}", packing(given, work))
        for feed, contexts in (("plain reading", LocalContext), ("Ray Data", _ray_context)):
            context = contexts()
            first = [first_batch(given, work, context) for _ in range(2)]
            _print(f"{feed}: seconds to the first batch, and to that of a second stream", "{:.2f}, {:.2f}", *first)
            _print(
                f"{feed}: step with the feed over a step without, clock and CPU",
                "{:.3f}, {:.3f}",
                *steps(given, work, context),
            )
        times_as_fast = "packing by data tasks on {:.0f} cores over packing in one process, by the clock"
        cores = len(os.sched_getaffinity(0))
        _print(times_as_fast.format(cores), "{:.2f}", scaling(given, work, context))
        for times in (1, TIMES):
            _print(f"peak memory with the corpus {times} x, MiB", "{:.0f}", run_alone(memory, given, times))
        _print("ids counted in a second, millions", "{:.0f}", counting() / 1e6)


def packing(given: Given, work: Path) -> float:
    """Pack by turns as the product does and plainly; give the plain loop's CPU time over the product's."""
    ratios = []
    for turn in range(3):
        plain = _timed(partial(_pack_plainly, given, work / f"plain-{turn}.parquet"))
        ours = _timed(partial(pack, given, work))
        ratios.append(plain.cpu_seconds / ours.cpu_seconds)
    return median(ratios)


def pack(given: Given, work: Path) -> None:
    """Pack the text into ``work``, one shard after the other."""
    LocalContext().map(_packer(given, work), list_shards(given.files, "text"))


def scaling(given: Given, work: Path, context: Context) -> float:
    """Pack copies of the text in this process and as ``context`` has it done, by turns; give the clocks' ratio."""
    copies = tuple(str(work / f"part-{number}.parquet") for number in range(PARTS))
    for copy in copies:
        Path(copy).symlink_to(given.files[0])
    shards, pack_one = list_shards(copies, "text"), _packer(given, work / "copies")
    turns = [partial(done_by.map, pack_one, shards) for done_by in (LocalContext(), context)]
    turns[1]()  # starts the processes
    pairs = [[_timed(turn).seconds for turn in turns] for _ in range(3)]
    return median(alone / shared for alone, shared in pairs)


def first_batch(given: Given, work: Path, context: Context) -> float:
    """Give the seconds until a stream's first batch is there."""
    _vocabulary(given.teacher)  # which a step has loaded by then
    return _timed(lambda: next(_stream(given, work, context))).seconds


def steps(given: Given, work: Path, context: Context) -> tuple[float, float]:
    """Take steps by turns on fresh batches and on the same one; give the ratios of their clock and CPU times."""
    teacher = load_masked_lm(given.teacher)
    student = build_student(teacher, tuple(range(1, teacher.config.num_hidden_layers, 2)))
    step = ProductStep(teacher, student, 1e-4, "fp32")
    stream = _stream(given, work, context)
    fixed = next(stream)
    pairs = [(_timed(lambda: step(next(stream))), _timed(lambda: step(fixed))) for _ in range(STEPS)]
    fed, unfed = ([pair[side] for pair in pairs[2:]] for side in (0, 1))  # the first steps allocate
    clock = median(took.seconds for took in fed) / median(took.seconds for took in unfed)
    return clock, sum(took.cpu_seconds for took in fed) / sum(took.cpu_seconds for took in unfed)


def memory(given: Given, times: int) -> float:
    """Pack so many copies of the text and read them through in this process; give its peak memory in MiB."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        copies = tuple(str(work / f"{number:03d}.parquet") for number in range(times))
        for copy in copies:
            Path(copy).symlink_to(given.files[0])
        pack(given._replace(files=copies), work)
        files = [str(path) for path in (work / "blocks").glob("*.parquet")]
        blocks = sum(pq.read_metadata(file).num_rows for file in files)
        stream = _stream(given, work, LocalContext())
        for _ in range(blocks // BATCH):
            next(stream)
    return peak_megabytes()


def counting() -> float:
    """Give how many ids, distributed as words are, are counted in a second of CPU time."""
    ids = np.minimum(np.random.default_rng(0).zipf(1.2, COUNTED), VOCABULARY).astype(np.int32) - 1
    return COUNTED / min(_timed(lambda: count_ids(ids, VOCABULARY)).cpu_seconds for _ in range(3))


def _stream(given: Given, work: Path, context: Context) -> Iterator[Mapping[str, torch.Tensor]]:
    files: Sequence[str] = sorted(str(path) for path in (work / "blocks").glob("*.parquet"))
    stream = BlockStream([files], BATCH, 1, 0.15, _vocabulary(given.teacher), 0)
    for (batch,) in stream.batches(context, 0, FOREVER):
        yield {name: batch[name] for name in ("input_ids", "attention_mask")}


@cache
def _vocabulary(teacher: str) -> MaskingVocabulary:
    return MaskingVocabulary.from_tokenizer(load_tokenizer(teacher))


def _packer(given: Given, work: Path) -> Callable[[Shard], object]:
    return partial(
        pack_shard,
        column="text",
        tokenizer_json=Path(given.teacher, "tokenizer.json").read_text(encoding="utf-8"),
        length=given.length,
        held_out_share=0.01,
        seed=0,
        blocks_folder=str(work / "blocks"),
        held_out_folder=str(work / "held_out"),
    )


def _pack_plainly(given: Given, out: Path) -> None:
    """Tokenise, join, cut and write, with nothing looked at."""
    tokenizer = Tokenizer.from_file(str(Path(given.teacher, "tokenizer.json")))
    schema = pa.schema([("ids", pa.list_(pa.int32(), given.length))])
    rest = np.empty(0, dtype=np.int32)
    with pq.ParquetWriter(out, schema, compression="zstd", use_dictionary=False) as writer:
        for file in given.files:
            for texts in pq.ParquetFile(file).iter_batches(1024, columns=["text"]):
                encodings = tokenizer.encode_batch_fast(texts.column(0).to_pylist())
                rest = np.concatenate([rest, *(np.array(encoding.ids, dtype=np.int32) for encoding in encodings)])
                full = len(rest) - len(rest) % given.length
                column = pa.FixedSizeListArray.from_arrays(pa.array(rest[:full]), given.length)
                writer.write_table(pa.table([column], schema=schema))
                rest = rest[full:]


def _ray_context() -> Context:
    import ray

    from bistil_ray.distributed.stream import RayContext

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # never somebody else's
    return RayContext(lambda metrics: None, torch.device("cpu"))


def _timed(run: Callable[[], object]) -> Took:
    began, cpu_began = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - began, time.process_time() - cpu_began)


def _print(what: str, form: str, *figures: float) -> None:
    sys.stdout.write(f"{what}: {form.format(*figures)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
