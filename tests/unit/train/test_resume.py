"""An interrupted phase goes on from its newest readable checkpoint as if nothing had happened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from bistil_ray.errors import StorageError
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train import state
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.optim import make_optimizer
from bistil_ray.train.phase import Phase, Progress, Surroundings
from bistil_ray.train.state import checkpoints, load_checkpoint

PHASE = Phase(steps=9, lr=0.05, warmup=0.3, precision="fp32", seed=3, checkpoint_seconds=0)


class Power(Exception):
    """The power went off."""


def fail_at(step: int) -> Callable[[Progress], None]:
    def check(progress: Progress) -> None:
        if progress.step == step:
            raise Power

    return check


def trained(model: torch.nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in model.parameters()]


@pytest.fixture
def undisturbed(make_toy: Callable, toy_batches: Callable) -> list[torch.Tensor]:
    """The weights of the phase that nothing interrupts."""
    model = make_toy()
    run_phase(LabelLearning(model, TASKS["pos"]), PHASE, toy_batches)
    return trained(model)


@pytest.fixture
def interrupted(tmp_path: Path, make_toy: Callable, toy_batches: Callable) -> Path:
    """The checkpoints of the phase, interrupted in its sixth step."""
    with pytest.raises(Power):
        run_phase(
            LabelLearning(make_toy(), TASKS["pos"]), PHASE, toy_batches, Surroundings(tmp_path), after_step=fail_at(6)
        )
    return tmp_path


def go_on(folder: Path, make_toy: Callable, toy_batches: Callable) -> tuple[list[torch.Tensor], list[int]]:
    model = make_toy()
    steps: list[int] = []
    progress = run_phase(
        LabelLearning(model, TASKS["pos"]),
        PHASE,
        toy_batches,
        Surroundings(folder),
        after_step=lambda now: steps.append(now.step),
    )
    assert progress.step == PHASE.steps
    assert progress.tokens == PHASE.steps * 15
    return trained(model), steps


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_newest_two_checkpoints_are_kept(interrupted: Path) -> None:
    assert [path.name for path in checkpoints(interrupted)] == ["step-000000005", "step-000000004"]
    assert {path.name for path in interrupted.iterdir()} == {"step-000000005", "step-000000004"}


def test_the_rest_of_an_interrupted_phase_gives_the_same_bits(
    interrupted: Path, undisturbed: list[torch.Tensor], make_toy: Callable, toy_batches: Callable
) -> None:
    final, steps = go_on(interrupted, make_toy, toy_batches)
    assert steps == [6, 7, 8, 9]
    assert equal(final, undisturbed)


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
def test_a_truncated_checkpoint_is_passed_over_with_a_warning(
    file: str,
    interrupted: Path,
    undisturbed: list[torch.Tensor],
    make_toy: Callable,
    toy_batches: Callable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    newest = checkpoints(interrupted)[0] / file
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        final, steps = go_on(interrupted, make_toy, toy_batches)
    assert "step-000000005 cannot be used" in caplog.text
    assert steps == [5, 6, 7, 8, 9]
    assert equal(final, undisturbed)


def test_a_checkpoint_with_a_flipped_bit_is_passed_over(
    interrupted: Path, undisturbed: list[torch.Tensor], make_toy: Callable, toy_batches: Callable
) -> None:
    newest = checkpoints(interrupted)[0] / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    final, steps = go_on(interrupted, make_toy, toy_batches)
    assert steps == [5, 6, 7, 8, 9]
    assert equal(final, undisturbed)


def test_a_full_disk_is_told_in_a_line_and_leaves_the_older_checkpoints(
    interrupted: Path,
    undisturbed: list[torch.Tensor],
    make_toy: Callable,
    toy_batches: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {path.name for path in interrupted.iterdir()}

    def fill(tensors: dict[str, torch.Tensor], file: Path) -> None:
        file.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as full, pytest.raises(StorageError, match="No space left on device; free some space"):
        full.setattr(state, "save_file", fill)
        go_on(interrupted, make_toy, toy_batches)
    assert {path.name for path in interrupted.iterdir()} == before
    final, steps = go_on(interrupted, make_toy, toy_batches)
    assert steps == [6, 7, 8, 9]
    assert equal(final, undisturbed)


def test_a_checkpoint_of_another_model_is_not_used(
    interrupted: Path, undisturbed: list[torch.Tensor], make_toy: Callable, toy_batches: Callable
) -> None:
    other = make_toy()
    other.head = torch.nn.Linear(6, 5)
    before = other.embedding.weight.detach().clone()
    run_phase(LabelLearning(other, TASKS["pos"]), Phase(0, 0.1), toy_batches, Surroundings(interrupted))
    assert torch.equal(other.embedding.weight, before)


def test_a_finished_phase_is_not_run_again(
    interrupted: Path, undisturbed: list[torch.Tensor], make_toy: Callable, toy_batches: Callable
) -> None:
    go_on(interrupted, make_toy, toy_batches)
    final, steps = go_on(interrupted, make_toy, toy_batches)
    assert steps == []
    assert equal(final, undisturbed)


def test_all_of_an_optimizers_state_comes_back_on_the_device_of_its_parameters(
    interrupted: Path, make_toy: Callable
) -> None:
    # As a GPU would: fused AdamW takes no count of steps from another device.
    model = make_toy().to("meta")
    optimizer = make_optimizer(model.parameters(), 0.1)
    assert load_checkpoint(interrupted, dict(model.named_parameters()), optimizer) is not None
    kept = [value for state in optimizer.state.values() for value in state.values()]
    assert len(kept) == 3 * len(list(model.parameters()))
    assert {value.device.type for value in kept} == {"meta"}


def test_a_rank_that_does_not_write_keeps_nothing(tmp_path: Path, make_toy: Callable, toy_batches: Callable) -> None:
    run_phase(
        LabelLearning(make_toy(), TASKS["pos"]), PHASE, toy_batches, Surroundings(tmp_path / "none", writes=False)
    )
    assert not (tmp_path / "none").exists()


def test_a_phase_that_pauses_saves_and_goes_on_bit_for_bit(
    tmp_path: Path, make_toy: Callable, toy_batches: Callable, undisturbed: list[torch.Tensor]
) -> None:
    phase = replace(PHASE, checkpoint_seconds=3600)

    def up_to(step: int | None) -> tuple[int, list[torch.Tensor]]:
        model = make_toy()
        objective = LabelLearning(model, TASKS["pos"])
        return run_phase(objective, phase, toy_batches, Surroundings(tmp_path), pause_at=step).step, trained(model)

    assert up_to(4)[0] == 4
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000000004"]
    assert up_to(4)[0] == 4, "it was there already"
    assert up_to(2)[0] == 4, "and beyond"
    reached, final = up_to(None)
    assert reached == 9
    assert all(torch.equal(one, other) for one, other in zip(final, undisturbed, strict=True))
