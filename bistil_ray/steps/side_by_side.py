"""Several students of one teacher trained side by side in one process: the teacher reads each batch once for all.

What is the same for several of them, such as the dense phase of all densities of a student, one of them does for all.
Each student's step runs in a thread of its own, just as it would run alone, but never two at once: threads take turns
between batches, as coroutines do. So nothing that steps do to their process (random numbers, settings of models) meets
another step, and one student's failure is its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from ..teachers.shared import SharedLook, Teaching
from .context import Context, Job

END = TypeVar("END")
PRODUCT = TypeVar("PRODUCT")
BEFORE_TRAINING = -1
"""Where a student stands that has not come to its first batch."""


def run_side_by_side(jobs: Sequence[Job], context: Context, run: Callable[[Job, Context], END]) -> list[END]:
    """Run every step with a context of its own and give what ``run`` gives for each.

    The steps are of one teacher and should see the same batches. One that is behind, as after an interruption, trains
    alone until it has come up with the others. Reports carry the step's key in ``of``.
    """
    group = _Group(len(jobs))

    def run_member(number: int, job: Job) -> END:
        if context.device.type == "cuda":
            torch.cuda.set_device(context.device)  # each thread has its own
        try:
            group.take_turn(number, BEFORE_TRAINING)
            return run(job, _Beside(context, group, number, job.folder.name))
        finally:
            group.leave(number)

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run_member, range(len(jobs)), jobs))


class _Group:
    """Whose turn it is, and what all have in common."""

    def __init__(self, members: int) -> None:
        self._at = dict.fromkeys(range(members), BEFORE_TRAINING)
        self._changed = threading.Condition()
        self._step = BEFORE_TRAINING
        self._teaching: Teaching | None = None
        self._look: SharedLook | None = None
        self._made: dict[str, Any] = {}
        self._works_for_all = False

    def take_turn(self, member: int, step: int) -> None:
        """Wait until nobody is further behind and, of those who are as far, nobody comes first.

        Who works for all keeps the turn.
        """
        if not self._works_for_all:
            with self._changed:
                self._at[member] = step
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._next() == member)
        if self._look is not None and step != self._step:
            self._look.forget()
        self._step = step

    def leave(self, member: int) -> None:
        with self._changed:
            del self._at[member]
            self._changed.notify_all()

    def teaching(self, load: Callable[[], Sequence[PreTrainedModel]]) -> Teaching:
        if self._teaching is None:
            models = load()
            self._look = SharedLook(models)
            self._teaching = Teaching(models, self._look, shared=True)
        return self._teaching

    def in_common(self, name: str, make: Callable[[], PRODUCT]) -> PRODUCT:
        if name not in self._made:
            self._works_for_all = True
            try:
                self._made[name] = make()
            finally:
                self._works_for_all = False
        made: PRODUCT = self._made[name]
        return made

    def _next(self) -> int:
        return min(self._at, key=lambda member: (self._at[member], member))


class _Beside:
    """The context of one student of several."""

    def __init__(self, inner: Context, group: _Group, number: int, key: str) -> None:
        self._inner, self._group, self._number, self._key = inner, group, number, key
        self.teaching, self.in_common = group.teaching, group.in_common

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)

    def take_turn(self, step: int) -> None:
        self._group.take_turn(self._number, step)

    def report(self, metrics: dict[str, Any]) -> None:
        self._inner.report({"of": self._key, **metrics})
