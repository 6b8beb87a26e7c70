"""What Ray Tune hears of its trials, passed on to the board."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback

from .progress import Board


class Feed(Callback):
    """The Ray Tune callback that tells ``board`` what running steps report."""

    def __init__(self, board: Board) -> None:
        """Feed ``board``."""
        self._board = board

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

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out: Tune stores its callbacks; what a terminal shows is not part of an experiment."""
        return {}
