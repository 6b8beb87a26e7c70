"""What Ray Tune hears of its trials, passed on to those who watch a sweep."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback

from .progress import Board
from .status import StatusFile


class Unstored(Callback):
    """A callback of which nothing is kept in Tune's snapshots: what it watches is no part of an experiment."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out."""
        return {}


class Feed(Unstored):
    """Tells ``board`` what running steps report, and lets it and ``status`` say where things stand now and then."""

    def __init__(self, board: Board, status: StatusFile) -> None:
        """Feed both."""
        self._board, self._status = board, status

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        result: dict[str, Any],
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Take note of the figures of one step; where a trial has several, they say which."""
        self._board.reported(str(result.get("of", trial.config["step"])), result)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Say where things stand, if it is time."""
        self._board.tick()
        self._status.write_if_due()
