"""SFTs that somebody else trained, or an earlier run: found, read, and brought under the names of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..errors import ModelError
from ..models.families import family_of
from ..models.hub import locate_sft
from .convert import FILE_NAME, read_composable
from .delta import SparseDelta, extract_delta
from .files import META_FILE, load_delta, read_meta


def is_sft(folder: str | Path) -> bool:
    """Tell whether a folder holds an SFT, in this tool's format or composable-sft's."""
    return any((Path(folder) / name).is_file() for name in (META_FILE, FILE_NAME))


def language_told(folder: Path) -> str | None:
    """Give the language that an SFT of this tool's format says it is of; None where it says nothing."""
    return read_meta(folder / META_FILE).get("language") if (folder / META_FILE).is_file() else None


def load_sft(place: str, flag: str, meta: Mapping[str, Any]) -> SparseDelta:
    """Read an SFT from a folder or a hub id, in this tool's format or composable-sft's.

    ``meta`` is what is known of it (see SparseDelta): composable-sft's files do not say; what this tool's files say of
    themselves comes first. ModelError, naming ``flag``, where there is none or it cannot be read.
    """
    folder = locate_sft(place, flag)
    if (folder / META_FILE).is_file():
        return load_delta(folder)
    if (folder / FILE_NAME).is_file():
        return read_composable(folder, meta)
    raise ModelError(f"{flag} {place!r} holds no SFT: neither {META_FILE} nor {FILE_NAME}")


def fit_delta(delta: SparseDelta, model: PreTrainedModel, place: str) -> SparseDelta:
    """Give the SFT under the parameter names of ``model``, checked against it.

    The encoder's parameters may carry the prefix of the model's family, the family's name (``xlm-roberta.``) or none.
    A language's SFT loses its head, which is the base's vocabulary scored anew and fits no task. Raises ModelError,
    naming ``place``, for a parameter that the model does not have, or has in another shape.
    """
    family = family_of(model.config)
    own = family.parameter_prefix(model)
    prefixes = ("", *(f"{name}." for name in (family.prefix, family.name, family.name.replace("-", "_"))))
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters(remove_duplicate=False)}
    encoder = {prefix + name.removeprefix(own): name for name in shapes if name.startswith(own) for prefix in prefixes}
    known = {name: name for name in shapes} | encoder
    given = delta.shapes | {name: tuple(whole.shape) for name, whole in delta.dense.items()}
    if "language" in delta.meta:
        given = {name: shape for name, shape in given.items() if name in encoder or name in delta.shapes}
    for name, shape in given.items():
        if name not in known:
            raise ModelError(f"{place} belongs to another base: the model has no parameter {name}")
        if shape != shapes[known[name]]:
            raise ModelError(
                f"{place} belongs to another base: {name} is {shape} there and {shapes[known[name]]} in the model"
            )
    return SparseDelta(
        {known[name]: index for name, index in delta.indices.items()},
        {known[name]: values for name, values in delta.values.items()},
        {known[name]: shape for name, shape in delta.shapes.items()},
        {known[name]: whole for name, whole in delta.dense.items() if name in given},
        delta.meta,
    )


def in_differences(delta: SparseDelta, base: PreTrainedModel) -> SparseDelta:
    """Give the SFT with what it keeps whole as differences to ``base``, so that they can be added to a task's."""
    own = {name: value for name, value in base.named_parameters(remove_duplicate=False) if name in delta.dense}
    whole = extract_delta(own, delta.dense, (), delta.meta)
    return SparseDelta(
        delta.indices | whole.indices, delta.values | whole.values, delta.shapes | whole.shapes, {}, delta.meta
    )
