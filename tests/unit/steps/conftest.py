"""Places for steps to run in: contexts of ranks that do not exist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bistil_ray.steps.context import LocalContext


class OneOfMany(LocalContext):
    """The context of one rank of several, none of which waits for another."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self.rank, self.world_size = rank, world_size


@pytest.fixture
def make_rank() -> Callable[[int, int], LocalContext]:
    """A function giving the context of a rank: ``make_rank(rank, world_size)``."""
    return OneOfMany
