"""Predictions on disk are the teacher's, position by position, and masking depends on a block's content alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.data.masking import IGNORED, MaskingVocabulary
from bistil_ray.data.order import Chunk, row_order
from bistil_ray.data.pack import block_file
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.steps.predicted import to_batch
from bistil_ray.teachers import predictions
from bistil_ray.teachers.predictions import Predictor, read_predictions
from bistil_ray.vocab.union import unite

T, K = 16, 4


@pytest.fixture(scope="module", params=["bert_folder", "xlmr_folder"])
def teacher_folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def predictor(teacher_folder: Path) -> Predictor:
    vocabulary = MaskingVocabulary.from_tokenizer(load_tokenizer(teacher_folder))
    return Predictor(AutoModelForMaskedLM.from_pretrained(teacher_folder).eval(), vocabulary, 0.2, K, seed=5)


@pytest.fixture(scope="module")
def blocks(predictor: Predictor) -> np.ndarray:
    """Blocks of ordinary tokens, and one in which nothing can be masked."""
    ordinary = predictor.vocabulary.ordinary_ids.numpy()
    rows = np.random.default_rng(0).choice(ordinary, (37, T)).astype(np.int32)
    rows[3] = predictor.vocabulary.special_ids[0]
    return rows


def test_what_comes_from_disk_is_the_teachers_prediction(
    predictor: Predictor, blocks: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "GROUP_BLOCKS", 20)
    with block_file(tmp_path / "blocks.parquet", T) as file:
        file.add(blocks.ravel())
    predictor.predict_file(tmp_path / "blocks.parquet", tmp_path / "made.parquet")
    groups = [Chunk(str(tmp_path / "made.parquet"), group, (group,)) for group in range(2)]
    assert pq.read_metadata(tmp_path / "made.parquet").num_row_groups == 2
    order = np.concatenate([row_order(groups[0], 20), 20 + row_order(groups[1], 17)])
    read = [block for chunk in groups for block in read_predictions(chunk)]
    assert len(read) == len(blocks)
    for block, row in zip(read, order, strict=True):
        masked = block.labels_NT != IGNORED
        assert not (masked.any() and row == 3)
        assert np.array_equal(block.labels_NT[masked], blocks[row][masked[0]])
        assert np.array_equal(np.where(masked, 0, block.inputs_NT), np.where(masked, 0, blocks[row]))
        with torch.no_grad():
            logits = predictor.teacher(input_ids=torch.tensor(block.inputs_NT)).logits[0][masked[0]]
        log_probabilities = logits.log_softmax(1)
        expected = log_probabilities.topk(K)
        assert np.array_equal(block.known_ids_MK, expected.indices)
        assert np.allclose(block.log_probabilities_MK, expected.values, rtol=2**-10)
        restored = block.log_probabilities_MK.astype(np.float32) + block.log_sum_exp_M[:, None]
        rounding = np.spacing(np.abs(block.log_probabilities_MK)).astype(np.float32) + 1e-5
        assert (np.abs(restored - logits.topk(K).values.numpy()) <= rounding).all(), "the logits themselves"


def test_teacher_logits_survive_the_way_through_the_students_ids(
    predictor: Predictor, blocks: np.ndarray, bert_folder: Path, xlmr_folder: Path, teacher_folder: Path
) -> None:
    folders = [bert_folder, xlmr_folder]
    union = unite([load_tokenizer(folder) for folder in reversed(folders)] + [load_tokenizer(teacher_folder)])
    ids = union.maps[2]
    made = predictor.predict(blocks)
    batch = to_batch([made], ids)
    back = np.full(union.size, -1)
    back[ids] = np.arange(len(ids))
    chosen = batch["labels"] != IGNORED
    assert np.array_equal(back[batch["input_ids"]], made.inputs_NT)
    assert np.array_equal(back[batch["labels"][chosen]], made.labels_NT[chosen])
    with torch.no_grad():
        logits_MV = predictor.teacher(input_ids=torch.from_numpy(back[batch["input_ids"]])).logits[chosen]
    in_union = torch.full((len(logits_MV), union.size), float("-inf"))
    in_union[:, torch.from_numpy(ids)] = logits_MV
    known = batch["teacher_log_probabilities"][chosen] + torch.from_numpy(made.log_sum_exp_M)[:, None]
    assert torch.equal(in_union.gather(1, batch["teacher_ids"][chosen]), logits_MV.topk(K).values)
    assert torch.allclose(known, logits_MV.topk(K).values, atol=5e-3)


def test_masking_follows_content_and_seed_alone(predictor: Predictor, blocks: np.ndarray) -> None:
    together, alone = predictor.predict(blocks), predictor.predict(blocks[9:10])
    assert np.array_equal(together.inputs_NT[9], alone.inputs_NT[0])
    other = Predictor(predictor.teacher, predictor.vocabulary, predictor.mask, K, seed=6).predict(blocks)
    assert not np.array_equal(together.labels_NT, other.labels_NT)
    share = (together.labels_NT != IGNORED).mean()
    assert share == pytest.approx(0.2, abs=0.05)


def test_draws_are_the_teachers_distribution_on_average(predictor: Predictor, blocks: np.ndarray) -> None:
    many = dataclasses.replace(predictor, top_k=20_000, draws=True)
    made = many.predict(blocks[:2])
    alone = many.predict(blocks[1:2])
    with torch.no_grad():
        logits_NTV = predictor.teacher(input_ids=torch.tensor(made.inputs_NT)).logits
    chances = logits_NTV[torch.tensor(made.labels_NT) != IGNORED].softmax(1).numpy()
    assert np.array_equal(made.known_ids_MK[-len(alone.known_ids_MK) :], alone.known_ids_MK)
    for drawn, expected in zip(made.known_ids_MK, chances, strict=True):
        shares = np.bincount(drawn, minlength=len(expected)) / len(drawn)
        assert np.allclose(shares, expected, atol=5 * np.sqrt(0.25 / len(drawn)))
    assert np.allclose(np.exp(made.log_probabilities_MK.astype(np.float64)).sum(1), 1, rtol=1e-2)
