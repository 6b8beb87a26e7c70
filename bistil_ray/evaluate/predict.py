"""What a model says about features: batch by batch, the longest apart from the shortest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..data.batches import Features, length_of, pad_batch
from ..models.heads import model_inputs


def predictions(
    model: PreTrainedModel, features: Sequence[Features], pad_id: int, batch_size: int = 32
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Give, in an order of its own, the number of each example and its row of every tensor in the model's output.

    Rows are on the CPU and as long as the batch they were computed in. The model is used in evaluation mode and left
    in the mode it was in. Only what the model's forward pass takes of the features is given to it.
    """
    by_length = sorted(range(len(features)), key=lambda index: length_of(features[index]))
    training = model.training
    model.eval()
    for start in range(0, len(by_length), batch_size):
        chosen = by_length[start : start + batch_size]
        batch = pad_batch([features[index] for index in chosen], pad_id)
        inputs = model_inputs(model, {name: value.to(model.device) for name, value in batch.items()})
        with torch.inference_mode():
            output = model(**inputs)
        rows = {name: value.cpu() for name, value in output.items() if isinstance(value, Tensor)}
        for place, index in enumerate(chosen):
            yield index, {name: value[place] for name, value in rows.items()}
    model.train(training)
