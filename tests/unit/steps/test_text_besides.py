"""Phase 2 with plain text: which batches give way to it, and that it teaches only what the teacher makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification

from bistil_ray.data.examples import Examples
from bistil_ray.data.masking import IGNORED
from bistil_ray.data.pack import block_file
from bistil_ray.models.layers import align_layers
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.models.student import build_student
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.labelled import LabelledStream
from bistil_ray.steps.text_besides import MixedStream, with_text
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.objectives import PLAIN, Distillation, TextBesides
from bistil_ray.train.phase import Batch

STEPS = 40


@pytest.fixture(scope="module")
def stream(bert_folder: Path) -> MixedStream:
    """Twelve sentences of English and thirty documents of ids, as the text of the second language."""
    tokenizer = load_tokenizer(str(bert_folder))
    words = tuple(("the", "river", *("rises",) * row) for row in range(12))
    examples = Examples({"tokens": words, "upos": tuple(("O",) * len(row) for row in words)}, "made up", {})
    labelled = LabelledStream(
        [TASKS["pos"].encode(examples, tokenizer, ("O",), 64)], tokenizer.pad_token_id, 4, 1, seed=3
    )
    documents = [{"input_ids": [*range(5, 6 + row)], "labels": [0] * (row + 1)} for row in range(30)]
    text = LabelledStream([documents], tokenizer.pad_token_id, 3, 1, seed=3)
    return MixedStream(labelled, text, share=0.5, language=1, seed=3)


def taken(stream: MixedStream, start: int = 0, stop: int = STEPS, context: Context | None = None) -> list[list[Batch]]:
    return list(stream.batches(context or LocalContext(), start, stop))


def is_text(batch: list[Batch]) -> bool:
    return PLAIN in batch[0]


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_about_the_share_of_the_batches_is_text(stream: MixedStream, share: float) -> None:
    batches = taken(replace(stream, share=share), 0, 400)
    assert abs(sum(map(is_text, batches)) / len(batches) - share) < 0.08


def test_examples_and_text_follow_as_if_each_were_alone(stream: MixedStream) -> None:
    batches = taken(stream)
    examples = [batch for batch in batches if not is_text(batch)]
    alone = list(stream.labelled.batches(LocalContext(), 0, len(examples)))
    for mine, theirs in zip(examples, alone, strict=True):
        assert torch.equal(mine[0]["input_ids"], theirs[0]["input_ids"])
        assert not mine[0]["language"].any()
    texts = [batch for batch in batches if is_text(batch)]
    alone = list(stream.text.batches(LocalContext(), 0, len(texts)))
    for mine, theirs in zip(texts, alone, strict=True):
        assert torch.equal(mine[0]["input_ids"], theirs[0]["input_ids"])
        assert mine[0]["language"].tolist() == [1] * 3


@pytest.mark.parametrize("start", [1, 7, 23])
def test_a_step_is_the_same_batch_wherever_the_stream_is_entered(stream: MixedStream, start: int) -> None:
    for one, other in zip(taken(stream)[start:], taken(stream, start), strict=True):
        assert all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def test_ranks_share_the_batches(stream: MixedStream, make_rank: Callable[[int, int], Context]) -> None:
    ranks = [taken(stream, context=make_rank(rank, 2)) for rank in range(2)]
    for whole, *shares in zip(taken(stream), *ranks, strict=True):
        assert len({is_text(batch) for batch in (whole, *shares)}) == 1
        assert sum(len(part["input_ids"]) for share in shares for part in share) == len(whole[0]["input_ids"])


def goal(bert_folder: Path, *, decides: bool, labels: float = 0.0) -> TextBesides:
    teacher = AutoModelForTokenClassification.from_pretrained(bert_folder, num_labels=3, dtype=torch.float64)
    weights = {"hidden": 1.0, "attention": 1.0, "logits": 1.0, "labels": labels}
    labelled = Distillation(build_student(teacher, (1, 3)), [teacher], align_layers(4, 2), weights, TASKS["pos"])
    return TextBesides.of(labelled, decides=decides)


def losses(objective: TextBesides, batch: Batch) -> dict[str, Tensor]:
    return objective.losses(batch, objective.counts(batch))


@pytest.mark.parametrize("labels", [0.0, 1.0])
def test_text_teaches_what_the_teacher_decides_on_every_token_and_no_label(
    bert_folder: Path, stream: MixedStream, labels: float
) -> None:
    text = next(batch for batch in taken(stream) if is_text(batch))[0]
    objective = goal(bert_folder, decides=True, labels=labels)
    found = losses(objective, text)
    assert found.keys() == {"hidden", "attention", "tags"}
    asked = text["labels"] != IGNORED
    other = losses(objective, {**text, "labels": torch.where(asked, 2, IGNORED)})
    assert all(torch.equal(found[name], other[name]) for name in found)
    inputs = {name: text[name] for name in ("input_ids", "attention_mask")}
    ours, theirs = (model(**inputs).logits / 2 for model in (objective.model, objective.labelled.teachers[0]))
    expected = -(theirs.softmax(-1) * ours.log_softmax(-1)).sum(-1)[asked].mean()
    assert found["tags"].item() == pytest.approx(expected.item(), rel=1e-12)


def test_of_a_head_that_has_nothing_to_decide_text_teaches_states_alone(bert_folder: Path, stream: MixedStream) -> None:
    text = next(batch for batch in taken(stream) if is_text(batch))[0]
    assert losses(goal(bert_folder, decides=False), text).keys() == {"hidden", "attention"}


def test_examples_teach_as_without_text(bert_folder: Path, stream: MixedStream) -> None:
    examples = next(batch for batch in taken(stream) if not is_text(batch))[0]
    objective = goal(bert_folder, decides=True, labels=1.0)
    found, alone = losses(objective, examples), objective.labelled.losses(examples, objective.counts(examples))
    assert found.keys() == {"hidden", "attention", "tags", "tags_labels"}
    assert all(torch.equal(found[name], alone[name]) for name in found)


@pytest.mark.parametrize(("steps", "documents"), [(2, 5), (1000, 17)])
def test_as_much_text_is_taken_as_the_steps_need_and_none_twice(
    stream: MixedStream, bert_folder: Path, tmp_path: Path, steps: int, documents: int
) -> None:
    tokens = stream.labelled.tokens_per_batch
    with block_file(tmp_path / "blocks" / "sw" / "one.parquet", length := math.ceil(tokens / 5)) as file:
        for number in range(17):
            file.add(np.full(length, 5 + number, dtype=np.int32))
    settings = {"lang": "sw", "task": "pos", "text_share": 0.5, "block_length": length, "seed": 0}
    job = Job("finetune", settings, {}, {"pack": tmp_path}, tmp_path)
    mixed = with_text(job, stream.labelled, load_tokenizer(str(bert_folder)), 1, steps)
    seen = [row[0].item() for batch in mixed.text.batches(LocalContext(), 0, 50) for row in batch[0]["input_ids"]]
    assert len(set(seen)) == documents
    assert len(set(seen[:documents])) == documents, "in each epoch once"
