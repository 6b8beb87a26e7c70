"""What it costs to use a model: size, work, time and memory, of PyTorch and ONNX folders alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from ..evaluate.speed import count_flops, one_thread, text_ids, times_ms, weight_bytes
from ..models.families import family_of
from ..models.parser import PARSERS
from .heads import PARSER, Head, head_of, read_config
from .package import load, onnx_file
from .session import OnnxModel

LENGTH, BATCH = 128, 16
LEAST_REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """What one model costs; None where the machine cannot tell.

    ``params`` count shared ones once, ``bytes`` are those of the weights on disk, a multiply-add is 2 FLOPs. Latency is
    for one text of 128 tokens: on the CPU with one thread, and on the GPU. ``tokens_per_second`` is for batches of 16
    such texts on all cores. Both are those of the quickest pass (see ``quickest_ms``). ``memory_bytes`` is how
    far the peak of resident memory rose while the model was loaded and run on such a batch.
    """

    model: str
    form: str
    params: int
    bytes: int
    flops_per_token: float
    latency_ms: float
    tokens_per_second: float
    memory_bytes: int | None
    gpu_latency_ms: float | None


def cost_of(name: str, folder: Path, seconds: float) -> Cost:
    """Measure the model in ``folder``, called ``name``, each figure for so many ``seconds``.

    It is done in a process of its own, so that no model sees another's memory.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(measure_here, name, folder, seconds).result()


def measure_here(name: str, folder: Path, seconds: float) -> Cost:
    """Measure in this process; memory comes out right only where no other model has been loaded."""
    logging.disable_progress_bar()
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    head = head_of(read_config(folder), folder)
    architecture, file = _class_of(head, config), onnx_file(folder)  # imports its module: code is no part of the memory
    ids_BT = text_ids(config, LENGTH)
    batch_BT = ids_BT.expand(BATCH, -1)

    before = _peak_memory()
    model: Any = load(head, folder) if file is None else OnnxModel(file, config)
    batch_ms = quickest_ms(lambda: model(input_ids=batch_BT), seconds)
    after = _peak_memory()
    if file is None:
        exact = model
        with one_thread():
            latency = quickest_ms(lambda: model(input_ids=ids_BT), seconds)
    else:
        # A graph does not tell its FLOPs: those of a model with other weights are the same.
        exact, alone = architecture(config).eval(), OnnxModel(file, config, threads=1)
        latency = quickest_ms(lambda: alone(input_ids=ids_BT), seconds)
    return Cost(
        model=name,
        form="PyTorch" if file is None else file.name,
        params=sum(parameter.numel() for parameter in exact.parameters()),
        bytes=file.stat().st_size if file else weight_bytes(exact, folder),
        flops_per_token=count_flops(exact, ids_BT) / ids_BT.shape[1],
        latency_ms=latency,
        tokens_per_second=1000 * batch_BT.numel() / batch_ms,
        memory_bytes=None if before is None or after is None else after - before,
        gpu_latency_ms=_gpu_latency(model, ids_BT, seconds) if file is None else None,
    )


def quickest_ms(run: Callable[[], object], seconds: float) -> float:
    """Call ``run`` for so many ``seconds``; give the shortest time, since what else a machine does only adds to it."""
    return min(times_ms(run, LEAST_REPEATS, seconds))


def _class_of(head: Head, config: PreTrainedConfig) -> type[PreTrainedModel]:
    family = family_of(config)
    return PARSERS[family.name] if head == PARSER else family.head_class(head.name)


def _gpu_latency(model: PreTrainedModel, ids_BT: Tensor, seconds: float) -> float | None:
    if not torch.cuda.is_available():
        return None
    model.cuda()
    there_BT = ids_BT.cuda()

    def run() -> None:
        model(input_ids=there_BT)
        torch.cuda.synchronize()

    return quickest_ms(run, seconds)


def _peak_memory() -> int | None:
    """Give the largest resident memory of this process so far, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * kilobytes[0] if kilobytes else None
