"""Training a masked language model on the blocks of a pack: what ``distil`` and ``pretrain`` share."""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.masking import MaskingVocabulary
from ..storage import read_result, replacing
from ..train.phase import Objective
from .blocks import BlockStream, training_files
from .context import Context, Job
from .examination import held_out_bits, train_examined


def train_on_text(
    job: Job,
    context: Context,
    objective: Objective,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    mask: float,
    name: str,
) -> dict[str, Any]:
    """Minimise ``objective`` over the step's pack, measure ``model`` on held-out text, save it and its tokenizer.

    ``objective`` trains ``model`` or a part of it; ``mask`` is the share of tokens that are corrupted. Gives the result
    of the step, in which ``name`` is the folder of the model.
    """
    settings, pack = job.settings, job.needs["pack"]
    vocabulary = MaskingVocabulary.from_tokenizer(tokenizer)
    stream = BlockStream(
        files=training_files(pack),
        batch_size=settings["batch_size"],
        micro_batches=job.micro_batches,
        mask=mask,
        vocabulary=vocabulary,
        seed=settings["seed"],
    )
    trained = train_examined(
        job,
        context,
        objective,
        lambda start: stream.batches(context, start, settings["steps"]),
        list(read_result(pack)["languages"]),
        partial(held_out_bits, model, pack, vocabulary),
    )
    if context.rank == 0:
        with replacing(job.folder / name) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return {name: name, "params": sum(parameter.numel() for parameter in model.parameters()), **trained}
