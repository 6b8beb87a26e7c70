"""Size and cost are those of the architecture, and measuring leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

from bistil_ray.evaluate import speed
from bistil_ray.evaluate.speed import measure, times_ms
from bistil_ray.export.bench import quickest_ms

SHAPE = {"vocab_size": 90, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}


def matrix_flops(length: int, outputs: int) -> int:
    """Multiplications and additions per token: projections, feed-forward, attention over ``length`` keys, head."""
    per_layer = 4 * 24 * 24 + 2 * 24 * 40 + 2 * length * 24
    return 2 * (3 * per_layer + 24 * outputs)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], None]]:
    """A function giving a function whose calls take so many seconds of a clock that it drives."""
    clock = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])

    def take(*seconds: float) -> Callable[[], None]:
        left = iter(seconds)

        def run() -> None:
            clock[0] += next(left)

        return run

    return take


def test_times_are_those_of_as_many_calls_as_it_takes(timed: Callable[..., Callable[[], None]]) -> None:
    run = timed(9.0, 9.0, 1.0, 4.0, 2.0, 1.0, 3.0)
    assert times_ms(run, repeats=2, seconds=8.0) == [1_000, 4_000, 2_000, 1_000]  # those of the warm-up do not count


def test_what_disturbs_some_passes_does_not_move_what_bench_says(timed: Callable[..., Callable[[], None]]) -> None:
    quiet, busy = (0.5, 0.5, *[1.0] * 20), (0.5, 0.5, *[1.0, 1.0, 1.7, 2.5] * 5)
    assert quickest_ms(timed(*quiet), seconds=20) == quickest_ms(timed(*busy), seconds=20) == 1_000


def test_flops_are_those_of_the_matrix_products() -> None:
    model = BertForTokenClassification(BertConfig(**SHAPE, num_labels=7))
    assert measure(model, repeats=1).flops_per_token == matrix_flops(128, 7)
    assert measure(model, length=32, repeats=1).flops_per_token == matrix_flops(32, 7)


def test_attention_is_counted_alike_however_it_is_computed() -> None:
    counts = {
        measure(BertForTokenClassification(BertConfig(**SHAPE, attn_implementation=kind)), repeats=1).flops_per_token
        for kind in ("eager", "sdpa")
    }
    assert len(counts) == 1


def test_shared_parameters_count_once() -> None:
    model = BertForMaskedLM(BertConfig(**SHAPE))
    encoder = sum(parameter.numel() for parameter in model.bert.parameters())
    head = 24 * 24 + 24 + 2 * 24 + 90
    measured = measure(model, repeats=1)
    assert measured.params == encoder + head
    assert measured.bytes == 4 * measured.params


def test_bytes_are_those_of_the_weight_files(tmp_path: Path) -> None:
    model = BertForTokenClassification(BertConfig(**SHAPE)).half()
    model.save_pretrained(tmp_path)
    (tmp_path / "notes.txt").write_text("x" * 1000)
    size = (tmp_path / "model.safetensors").stat().st_size
    assert measure(model.float(), tmp_path, repeats=1).bytes == size


@pytest.mark.parametrize("pad", [0, 1])
def test_models_of_few_positions_are_measured_on_what_they_take(pad: int) -> None:
    config = XLMRobertaConfig(**SHAPE, max_position_embeddings=34 + pad - 1, pad_token_id=pad, num_labels=7)
    measured = measure(XLMRobertaForTokenClassification(config), repeats=1)
    assert measured.flops_per_token == matrix_flops(32, 7)


def test_measuring_leaves_threads_mode_and_weights_alone() -> None:
    threads = torch.get_num_threads()
    model = BertForTokenClassification(BertConfig(**SHAPE)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        torch.set_num_threads(2)
        measured = measure(model, repeats=3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert model.training and measured.latency_ms > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_threads_come_back_after_a_failure() -> None:
    threads = torch.get_num_threads()
    model = BertForTokenClassification(BertConfig(**SHAPE))
    model.classifier = None
    with pytest.raises(TypeError):
        measure(model, repeats=1)
    assert torch.get_num_threads() == threads
