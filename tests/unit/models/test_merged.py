"""A student of several teachers: whose rows it has, in whose space, and that it can be saved and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.models.loading import load_masked_lm
from bistil_ray.models.merged import (
    TokenRows,
    merge_rows,
    student_from_chance,
    student_from_teacher,
    to_width,
    token_rows,
)
from bistil_ray.vocab.union import Union

A = np.arange(30)
B = np.r_[np.arange(10, 30)[::-1], np.arange(30, 45)]
UNION = Union(45, (A, B))


def rows(tokens: int, width: int, seed: int) -> TokenRows:
    generator = torch.Generator().manual_seed(seed)
    return TokenRows(torch.randn(tokens, width, generator=generator), torch.randn(tokens, generator=generator))


def test_a_token_of_one_teacher_has_its_row_and_one_of_two_their_mean() -> None:
    a, b = rows(30, 4, 0), rows(35, 4, 1)
    merged = merge_rows([a, TokenRows(b.embeddings_VD, b.bias_V)], UNION, 4)
    assert torch.equal(merged.embeddings_VD[:10], a.embeddings_VD[:10])
    assert torch.allclose(merged.bias_V[29], (a.bias_V[29] + b.bias_V[0]) / 2)
    assert torch.equal(merged.bias_V[30:], b.bias_V[20:])


def test_two_spaces_that_are_turned_copies_of_each_other_become_one() -> None:
    table = rows(45, 6, 0).embeddings_VD
    turn = torch.linalg.qr(rows(6, 6, 1).embeddings_VD).Q
    bias = torch.zeros(45)
    merged = merge_rows([TokenRows(table[A], bias[A]), TokenRows(table[B] @ turn, bias[B])], UNION, 6)
    assert torch.allclose(merged.embeddings_VD, table, atol=1e-5)


def test_one_teacher_alone_keeps_its_rows() -> None:
    a = rows(30, 4, 0)
    merged = merge_rows([a], Union(30, (A,)), 4)
    assert torch.equal(merged.embeddings_VD, a.embeddings_VD) and torch.equal(merged.bias_V, a.bias_V)


def test_a_narrower_table_keeps_as_much_of_the_products_as_any_can() -> None:
    table = rows(30, 8, 0).embeddings_VD
    narrow = to_width(table, 3)
    left, values, right = torch.linalg.svd(table, full_matrices=False)
    best = left[:, :3] * values[:3]
    assert torch.allclose(narrow @ narrow.T, best @ best.T, atol=1e-4)
    wide = to_width(table, 11)
    assert torch.equal(wide[:, :8], table) and not wide[:, 8:].any()


def test_layers_of_a_teacher_with_its_own_tokens_first(make_model, family_name: str, tmp_path: Path) -> None:
    teacher = make_model(family_name)
    tokens = teacher.config.vocab_size - 2  # two rows that stand for nothing
    own = token_rows(teacher, tokens)
    other = rows(7, own.embeddings_VD.shape[1], 3)
    union = Union(tokens + 7, (np.arange(tokens), np.arange(tokens, tokens + 7)))
    merged = merge_rows([own, other], union, own.embeddings_VD.shape[1])
    student_from_teacher(merged, teacher, tokens, 4).save_pretrained(tmp_path)
    loaded = load_masked_lm(tmp_path)
    ids = torch.randint(4, tokens, (2, 9), generator=torch.Generator().manual_seed(0))
    tied = teacher.get_output_embeddings()
    with torch.no_grad():
        if tied is not None:
            tied.weight.copy_(teacher.get_input_embeddings().weight)
        ours, theirs = loaded(input_ids=ids).logits, teacher(input_ids=ids).logits
    assert ours.shape[-1] == tokens + 7
    assert torch.allclose(ours[..., :tokens], theirs[..., :tokens], atol=1e-5)


def test_from_chance_the_body_is_random_and_the_rows_are_given(tmp_path: Path) -> None:
    given = rows(40, 16, 0)
    torch.manual_seed(0)
    student_from_chance(given, layers=2, heads=2, length=600, pad_id=7).save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.get_input_embeddings().weight, given.embeddings_VD)
    assert torch.equal(loaded.get_output_embeddings().bias, given.bias_V)
    assert loaded.config.pad_token_id == 7
    assert torch.isfinite(loaded(input_ids=torch.zeros(1, 600, dtype=torch.long)).logits).all()
