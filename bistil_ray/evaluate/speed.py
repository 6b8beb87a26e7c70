"""How large and how fast a model is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedConfig, PreTrainedModel

from ..models.families import family_of

WARM_UPS = 2


@dataclass(frozen=True)
class Speed:
    """Parameters (shared ones once), bytes of weights, FLOPs per token (a multiply-add is 2), latency."""

    params: int
    bytes: int
    flops_per_token: float
    latency_ms: float


def measure(model: PreTrainedModel, folder: Path | None = None, length: int = 128, repeats: int = 10) -> Speed:
    """Measure a model on one text of ``length`` tokens, or as many as the model takes.

    Latency is the median of ``repeats`` forward passes on the CPU with one thread. Bytes are those of the weight files
    in ``folder``, or of the parameters in memory where there is none. Threads, device and mode are put back.
    """
    device, training = model.device, model.training
    module: nn.Module = model  # whose ``to`` is typed, as the model's own is not
    ids_BT = text_ids(model.config, length)
    try:
        module.to("cpu").eval()
        with one_thread():
            flops = count_flops(model, ids_BT)
            latency = statistics.median(times_ms(lambda: model(input_ids=ids_BT), repeats))
    finally:
        module.to(device).train(training)
    return Speed(
        params=sum(parameter.numel() for parameter in model.parameters()),
        bytes=weight_bytes(model, folder),
        flops_per_token=flops / ids_BT.shape[1],
        latency_ms=latency,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with a single thread meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def text_ids(config: PreTrainedConfig, length: int) -> Tensor:
    """Give a text (1, T) of random ids, as long as models of ``config`` take, without the pad id.

    Some families give the pad id no position.
    """
    length = min(length, family_of(config).longest_text(config))
    ids_BT = torch.randint(config.vocab_size - 1, (1, length), generator=torch.Generator().manual_seed(0))
    return ids_BT + (ids_BT >= config.pad_token_id)


def count_flops(model: PreTrainedModel, ids_BT: Tensor) -> int:
    """Count the FLOPs of a forward pass, a multiply-add being 2."""
    # The counter knows no fused attention of the CPU; written out, attention is the matrix products that it
    # counts. It fails without gradients where a module is called with a parameter (DeBERTa's positions).
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(input_ids=ids_BT)
    return int(counter.get_total_flops())


def times_ms(run: Callable[[], object], repeats: int, seconds: float = 0.0) -> list[float]:
    """Give the time of each call of ``run``, without gradients, after two that do not count.

    There are ``repeats`` of them, and more until they have taken so many ``seconds`` together.
    """
    took: list[float] = []
    with torch.inference_mode():
        while len(took) < WARM_UPS + repeats or sum(took[WARM_UPS:]) < seconds:
            began = time.perf_counter()
            run()
            took.append(time.perf_counter() - began)
    return [1000 * each for each in took[WARM_UPS:]]


def weight_bytes(model: PreTrainedModel, folder: Path | None = None) -> int:
    """Give the size of a model's safetensors files or, where ``folder`` has none, what its parameters take."""
    files = list(folder.glob("*.safetensors")) if folder is not None else []
    if files:
        return sum(file.stat().st_size for file in files)
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
