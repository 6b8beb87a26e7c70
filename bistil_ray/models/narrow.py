"""A narrower student: the weights of one of the teacher's width, written in the bases that states are projected on.

With projections P_0, P_1, ... (D, width), a student's state is to be ``h_i P_i``. So embeddings become ``E P_0``; what
reads state i is ``W P_i``, what writes to it ``P_i^T W``. Residual connections carry coordinates from one state to the
next as they are, and LayerNorm works on each unit by itself: neither is exact, and the first is why projections should
have bases near one another (see ``state_projections``). Training takes it from there.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from ..errors import ModelError
from .families import BERT, ROBERTA, XLM_ROBERTA, family_of

BERT_LIKE = (BERT, ROBERTA, XLM_ROBERTA)
SAMPLES_PER_UNIT = 4
LINEAR_FROM = 3.0
"""Above this GELU and its kin give back what they get, to three digits."""


def check_bert_like(student: PreTrainedModel, wish: str) -> None:
    """ModelError unless this is a masked language model whose parts are those of BERT; ``wish`` needs one."""
    family = family_of(student.config)
    if family not in BERT_LIKE or family.output(student) is None:
        names = ", ".join(allowed.name for allowed in BERT_LIKE)
        raise ModelError(f"{wish} needs a masked language model of type {names}; not a {type(student).__name__}")


@torch.no_grad()
def narrow_student(student: PreTrainedModel, projections: Sequence[Tensor]) -> PreTrainedModel:
    """A masked language model of the student's class in the width of ``projections``, which starts close to it.

    ``projections`` (D, width), orthonormal, are those of the student's states: one for the embeddings and one for each
    layer. The feed-forward layers shrink with the width, to the units that move the state most. There are as many
    heads as before where the width divides by their number, otherwise the most that divide both; each starts from
    the mean scores of a group of neighbouring heads (compare ``losses.attention.group_heads``).

    ModelError for families and heads this is not written for.
    """
    check_bert_like(student, "a student narrower than its teacher (--hidden)")
    family = family_of(student.config)
    config = copy.deepcopy(student.config)
    bases = [projection.double().to(student.device) for projection in projections]
    config.hidden_size = bases[0].shape[1]
    config.num_attention_heads = gcd(config.hidden_size, config.num_attention_heads)
    config.intermediate_size = round(config.intermediate_size * config.hidden_size / bases[0].shape[0])
    # Every random starting weight is overwritten below: leave the caller's random numbers as they were.
    with torch.random.fork_rng(devices=[]):
        narrow = type(student)(config).to(device=student.device, dtype=student.dtype)
    narrow.train(student.training)

    for ours, theirs in zip(family.vocabulary_parameters(narrow), family.vocabulary_parameters(student), strict=True):
        ours.copy_(theirs.double() @ bases[0] if theirs.ndim == 2 else theirs)
    _narrow_embeddings(family.embeddings(narrow), family.embeddings(student), bases[0])
    for index, (layer, original) in enumerate(zip(family.layers(narrow), family.layers(student), strict=True)):
        _narrow_layer(layer, original, bases[index], bases[index + 1])
    # The logits are products with the embeddings, so the head writes in their basis.
    fit_head(narrow, student, bases[-1], bases[0])
    return narrow


def fit_head(model: PreTrainedModel, original: PreTrainedModel, reads: Tensor, writes: Tensor) -> None:
    """Fill the part of a masked-LM head before the vocabulary so that it does nearly what another model's does.

    ``reads`` and ``writes`` (D, width) are the bases of the states it sees and of the output embeddings. In another
    basis its nonlinearity would do something else; so the new head is the linear map, then a scale and shift of each
    unit, that come nearest by least squares, over random states as the original's last norm makes them.
    """
    ours, theirs = family_of(model.config), family_of(original.config)
    dense: Any = model.get_submodule(ours.head_dense_at)
    norm: Any = model.get_submodule(ours.head_norm_at)
    activation = ACT2FN[original.config.hidden_act]
    last_norm: Any = theirs.layers(original)[-1].get_submodule("output.LayerNorm")
    units = len(reads)
    noise = torch.randn(SAMPLES_PER_UNIT * units, units, generator=torch.Generator().manual_seed(0))
    states = last_norm(noise.to(last_norm.weight))
    hidden = activation(original.get_submodule(theirs.head_dense_at)(states))
    wanted = (original.get_submodule(theirs.head_norm_at)(hidden).double() @ writes).cpu()

    seen = (states.double() @ reads).cpu()
    seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
    solution = torch.linalg.lstsq(seen, wanted, driver="gelsy").solution
    linear = seen @ solution
    # Large numbers pass the activation as they are, and the norm takes away what is added to all units.
    shift = LINEAR_FROM - linear.min()
    dense.weight.copy_(solution[:-1].T)
    dense.bias.copy_(solution[-1] + shift)
    normed = nn.functional.layer_norm(linear, linear.shape[1:])
    slope = (normed * (wanted - wanted.mean(0))).mean(0) / normed.var(0, correction=0)
    norm.weight.copy_(slope)
    norm.bias.copy_((wanted - slope * normed).mean(0))


def _narrow_embeddings(ours: Any, theirs: Any, basis: Tensor) -> None:  # noqa: ANN401
    for name in ("position_embeddings", "token_type_embeddings"):
        getattr(ours, name).weight.copy_(getattr(theirs, name).weight.double() @ basis)
    _transfer_norm(ours.LayerNorm, theirs.LayerNorm, basis)


def _narrow_layer(ours: Any, theirs: Any, before: Tensor, after: Tensor) -> None:  # noqa: ANN401
    """Fill one layer, whose states have the bases ``before`` and ``after``; between its two parts it is ``before``."""
    _narrow_attention(ours.attention, theirs.attention, before)
    _transfer_norm(ours.attention.output.LayerNorm, theirs.attention.output.LayerNorm, before)

    rising, falling = theirs.intermediate.dense, theirs.output.dense
    rising_weight, falling_weight = rising.weight.double() @ before, after.T @ falling.weight.double()
    influence = rising_weight.norm(dim=1) * falling_weight.norm(dim=0)
    kept = influence.topk(ours.intermediate.dense.out_features).indices.sort().values
    ours.intermediate.dense.weight.copy_(rising_weight[kept])
    ours.intermediate.dense.bias.copy_(rising.bias[kept])
    ours.output.dense.weight.copy_(falling_weight[:, kept])
    ours.output.dense.bias.copy_(after.T @ falling.bias.double())
    _transfer_norm(ours.output.LayerNorm, theirs.output.LayerNorm, after)


def _narrow_attention(ours: Any, theirs: Any, basis: Tensor) -> None:  # noqa: ANN401
    """Keep, of each head's scores and of what it writes, the best approximation that fewer units can hold.

    Scores are products of queries and keys, so their matrices are cut together; so are those of values and output. The
    values' biases pass attention unchanged, for its weights add up to 1: they become a part of the output's.
    """
    heads, size = ours.self.num_attention_heads, ours.self.attention_head_size
    group = theirs.self.num_attention_heads // heads
    # From the mean of a group's scores to their sum, and from one division by the root of the head size to the other.
    scale = (size / theirs.self.attention_head_size) ** 0.5 / group

    def rows(linear: nn.Linear, with_bias: bool) -> tuple[Tensor, ...]:
        weight = linear.weight.double() @ basis
        whole = torch.cat([weight, linear.bias.double()[:, None]], 1) if with_bias else weight
        return whole.chunk(heads)

    queries, keys = rows(theirs.self.query, True), rows(theirs.self.key, True)
    values = rows(theirs.self.value, False)
    output = theirs.output.dense
    written = (basis.T @ output.weight.double()).T.chunk(heads)
    for head in range(heads):
        units = slice(head * size, (head + 1) * size)
        query, key = cut_product(queries[head] * scale, keys[head], size)
        value, out = cut_product(values[head], written[head], size)
        for linear, cut in ((ours.self.query, query), (ours.self.key, key)):
            linear.weight[units] = cut[:, :-1].to(linear.weight)
            linear.bias[units] = cut[:, -1].to(linear.bias)
        ours.self.value.weight[units] = value.to(ours.self.value.weight)
        ours.output.dense.weight[:, units] = out.T.to(ours.output.dense.weight)
    ours.self.value.bias.zero_()
    constant = output.bias.double() + output.weight.double() @ theirs.self.value.bias.double()
    ours.output.dense.bias.copy_(basis.T @ constant)


def cut_product(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Two matrices of ``rank`` rows with ``left'^T right'`` as near to ``left^T right`` as possible, equally large.

    ``left`` (k, m) and ``right`` (k, n) with at least ``rank`` rows and columns; by SVD, of k x k numbers only.
    """
    left_basis, left_rest = torch.linalg.qr(left.T)
    right_basis, right_rest = torch.linalg.qr(right.T)
    outer, sizes, inner = torch.linalg.svd(left_rest @ right_rest.T)
    roots = sizes[:rank].sqrt()
    return (left_basis @ outer[:, :rank] * roots).T, (right_basis @ inner[:rank].T * roots).T


def _transfer_norm(ours: nn.LayerNorm, theirs: nn.LayerNorm, basis: Tensor) -> None:
    """Write the scale and shift of a LayerNorm in another basis; of the scale, a full matrix there, the diagonal.

    What was cut off no longer counts in the standard deviation, by which the norm divides. Making up for that was
    measured to start farther from the projected states: states that start a little small are nearer on average.
    """
    ours.weight.copy_(basis.square().T @ theirs.weight.double())
    ours.bias.copy_(basis.T @ theirs.bias.double())
