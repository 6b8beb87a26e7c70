"""One side in a process of its own, so that its memory is its own; it takes steps when told to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from unittest.mock import patch

import psutil
import torch

from bistil_ray.train.optim import bf16_is_native

from ..alone import peak_megabytes
from .plain import PlainStep
from .product import ProductStep
from .shapes import Shape, make_batch, make_student, make_teacher

LR = 2e-5
"""At 1e-4 the loss of these random models falls by a quarter in a step, and rounding to bf16 alone moves it by 1e-3."""
Kind = type[PlainStep] | type[ProductStep]
T = TypeVar("T")


class Duration(NamedTuple):
    """How long something took: on the clock and in this process's CPU time."""

    seconds: float
    cpu_seconds: float

    def busy(self, threads: int) -> float:
        """Seconds that the work kept its device busy: on a CPU those of each thread, which other work hardly moves."""
        return self.seconds if torch.cuda.is_available() else self.cpu_seconds / threads


class Step(NamedTuple):
    """What one step lost, and how long it took."""

    losses: Mapping[str, float]
    took: Duration


class Memory(NamedTuple):
    """The most MiB held while stepping: all of the process's, and those besides Python and its libraries.

    On a GPU both are what torch allocated there, which holds no libraries.
    """

    resident: float
    own: float


class Side:
    """A process that holds both models and takes steps of a ``kind``."""

    def __init__(
        self,
        kind: Kind,
        shape: Shape,
        precision: str,
        threads: int,
        environment: Mapping[str, str] = MappingProxyType({}),
        **settings: int,
    ) -> None:
        """Start the process, with ``environment`` besides this one's; it builds its models at the first step."""
        context = get_context("spawn")
        self._here, there = context.Pipe()
        make = partial(kind, lr=LR, precision=precision, **settings)
        self._process = context.Process(target=_serve, args=(there, make, shape, threads), daemon=True)
        with patch.dict(os.environ, {**environment, **os.environ}):
            self._process.start()

    def step(self, number: int) -> Step:
        """Take step ``number``, whose batch is the same on every side."""
        self._here.send(number)
        return self._here.recv()

    def end(self) -> Memory:
        """End the process; give the most memory it held."""
        self._here.send(None)
        peak: Memory = self._here.recv()
        self._process.join()
        return peak


def device_name() -> str:
    """Name the device that steps run on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def precision_of(wanted: str) -> str:
    """Say what ``auto`` comes to on this machine."""
    if wanted != "auto":
        return wanted
    return "bf16" if bf16_is_native(_device().type) else "fp32"


def peak_flops(shape: Shape, precision: str, threads: int, repeats: int = 100) -> float:
    """Measure the most FLOP/s of a matrix product in this precision: that of a feed-forward part's first layer.

    By the clock, in the quietest of so many times: CPU time of a few milliseconds is too coarse.
    """
    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    states = torch.randn(shape.tokens, shape.hidden, dtype=kind, device=_device())
    weight = torch.randn(4 * shape.hidden, shape.hidden, dtype=kind, device=_device())
    product = partial(torch.nn.functional.linear, states, weight)
    seconds = min(_timed(product)[1].seconds for _ in range(repeats))
    return 2 * states.numel() * weight.shape[0] / seconds


def _serve(pipe: Connection, make: Callable[..., PlainStep | ProductStep], shape: Shape, threads: int) -> None:
    torch.set_num_threads(threads)
    libraries = psutil.Process().memory_info().rss / 2**20
    teacher = make_teacher(shape)
    student = make_student(shape, teacher)
    for model in (teacher, student):
        model.to(_device())
    step = make(teacher, student)
    del teacher, student, model
    while (number := pipe.recv()) is not None:
        batch = {name: values.to(_device()) for name, values in make_batch(shape, number).items()}
        pipe.send(Step(*_timed(partial(step, batch))))
    pipe.send(_most_memory(libraries))


def _timed(run: Callable[[], T]) -> tuple[T, Duration]:
    """Give what ``run`` gives, and how long it took."""
    began, cpu_began = time.perf_counter(), time.process_time()
    given = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return given, Duration(time.perf_counter() - began, time.process_time() - cpu_began)


def _most_memory(libraries: float) -> Memory:
    if torch.cuda.is_available():
        return Memory(*[torch.cuda.max_memory_allocated() / 2**20] * 2)
    resident = peak_megabytes()
    return Memory(resident, resident - libraries)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
