"""One teacher for several languages: each language's sparse fine-tuning on shared weights."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from ..sparse.delta import SparseDelta, apply_delta

Model = TypeVar("Model", bound=nn.Module)


def adapted(teacher: Model, delta: SparseDelta) -> Model:
    """Give ``teacher`` with the differences ``delta`` as a second model; the teacher stays as it is.

    The second model owns the parameters that differ. All others are the teacher's own parameter objects, whichever
    device they move to later, and what is tied in the teacher is tied here. So one model per language costs little
    memory and changing between languages nothing; adding differences and taking them off again, as the published code
    does for every batch, costs time and leaves rounding errors. Raises ModelError where the differences do not fit.
    """
    differing = delta.indices.keys() | delta.dense.keys()
    parts: dict[int, nn.Parameter] = {id(value): value for value in teacher.parameters()}
    for name, value in teacher.named_parameters(remove_duplicate=False):
        if name in differing:
            parts[id(value)] = nn.Parameter(value.detach().clone(), value.requires_grad)
    model = copy.deepcopy(teacher, parts)
    apply_delta(model, delta)
    return model


def shifted_parameters(model: nn.Module, delta: SparseDelta) -> dict[str, Tensor]:
    """Give the parameters that ``delta`` changes with the differences added, by name; gradients reach the model's own.

    For a forward pass through ``torch.func.functional_call``: the model is trained and its language SFT stays apart.
    """
    own = dict(model.named_parameters(remove_duplicate=False))
    return {
        name: own[name].flatten().index_add(0, index, delta.values[name].to(own[name].dtype)).view_as(own[name])
        for name, index in delta.indices.items()
    }
