"""A device that is not the CPU, for machines that have none: what fails on a GPU for its place fails here too.

Its tensors say that they lie on ``DEVICE`` and hold their values in tensors on the CPU, which do the work. An operation
on tensors of both places is refused as CUDA refuses it. The name is that of PyTorch's device without data, the only one
of which every build can make tensors; models are loaded and saved as if it were not pretended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from transformers import PreTrainedModel

DEVICE = torch.device("meta")
BETWEEN = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
"""What moves values from one place to the other."""
INDEXED = torch.ops.aten.index.Tensor
"""Which may be told its places by tensors on the CPU."""


class There(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(operation, args, kwargs or {})


class _Device(TorchDispatchMode):
    """Hears of what has no tensor of the device among its arguments, such as ``tensor.to(DEVICE)``."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(operation, args, kwargs or {})


def _carried_out(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, There)]
    _check_places(operation, args, [tensor for tensor in tensors if not isinstance(tensor, There)], there)
    asked = kwargs.get("device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    with _disable_current_modes():
        made = operation(*tree_map(_held, args), **tree_map(_held, kwargs))
    if operation is torch.ops.aten.copy_.default:
        return args[0]
    if asked is None and there:
        made = tree_map(_put_there, made)
        return return_and_correct_aliasing(operation, args, kwargs, made) if _is_of_tensors(made) else made
    return tree_map(_put_there, made) if asked is not None and torch.device(asked) == DEVICE else made


def _check_places(operation: Any, args: Any, here: list[Tensor], there: list[There]) -> None:
    """Refuse two places in one operation; a single number may lie on the CPU, but not in what is fused."""
    fused = "fused" in str(operation)
    strange = [tensor for tensor in here if tensor.dim() or fused]
    told_where = operation is INDEXED and isinstance(args[0], There)
    if there and strange and operation not in BETWEEN and not told_where:
        raise RuntimeError(f"{operation}: expected all tensors to be on the same device, but found some on the CPU")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, There) else value


def _put_there(value: Any) -> Any:
    return There(value) if isinstance(value, Tensor) and not isinstance(value, There) else value


def _is_of_tensors(made: Any) -> bool:
    return any(isinstance(value, Tensor) for value in tree_flatten(made)[0])


@contextmanager
def pretended_device(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Give the device while the block runs; ``patch`` undoes what else must be told of it."""

    def without_it(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _disable_current_modes():
                return function(*args, **kwargs)

        return call

    save = without_it(PreTrainedModel.save_pretrained)
    patch.setattr(PreTrainedModel, "from_pretrained", classmethod(without_it(PreTrainedModel.from_pretrained.__func__)))
    patch.setattr(
        PreTrainedModel,
        "save_pretrained",
        lambda model, folder: save(model, folder, state_dict=tree_map(_held, dict(model.state_dict()))),
    )
    autocast = torch.autocast
    patch.setattr(
        torch, "autocast", lambda kind, **how: nullcontext() if kind == DEVICE.type else autocast(kind, **how)
    )
    patch.setattr(torch._C, "_InferenceMode", lambda mode: torch.no_grad())
    optimizer = sys.modules["torch.optim.optimizer"]
    patch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", DEVICE.type])
    # As on a GPU, where moving a module keeps its parameters, and so what they are tied to.
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with _Device():
            yield DEVICE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
