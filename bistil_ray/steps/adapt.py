"""Step ``adapt``: the teacher sparsely fine-tuned on one language's text (LT-SFT by masked language modelling).

The pack has one language and the teacher's whole vocabulary. Product: ``sft/``, the encoder's sparse difference to the
teacher; the head that was tuned along with it is not kept. An SFT that is given is brought under the teacher's names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..data.fingerprint import content_fingerprint
from ..data.masking import MaskingVocabulary
from ..models.families import family_of
from ..models.freeze import freeze
from ..models.loading import load_masked_lm, load_tokenizer
from ..sparse.delta import SparseDelta, extract_delta
from ..sparse.files import save_delta
from ..sparse.given import fit_delta, in_differences, load_sft
from ..train.masked_lm import MaskedLanguageModelling
from ..train.sparse_tuning import SparseTuning, tune_sparsely
from .blocks import BlockStream, training_files
from .context import Context, Job
from .examination import held_out_bits
from .training import phase_of, surroundings

log = logging.getLogger(__name__)


def run(job: Job, context: Context) -> dict[str, Any]:
    """Tune, keep the difference, measure the language model before and after (with the head it has then)."""
    if "sft" in job.inputs:
        return _take_given(job)
    settings, pack = job.settings, job.needs["pack"]
    vocabulary = MaskingVocabulary.from_tokenizer(load_tokenizer(pack / "tokenizer"))
    model = load_masked_lm(job.inputs["teacher"]).to(context.device)
    before = held_out_bits(model, pack, vocabulary)
    freeze(model, settings["freeze"])
    model.train()
    encoder = _encoder_names(model)
    dense = settings["dense_steps"]
    stream = BlockStream(
        files=training_files(pack),
        batch_size=settings["batch_size"],
        micro_batches=job.micro_batches,
        mask=settings["mask"],
        vocabulary=vocabulary,
        seed=settings["seed"],
    )
    tuning = tune_sparsely(
        MaskedLanguageModelling(model),
        partial(stream.batches, context),
        phase_of(job, dense, [settings["lang"]]) if dense else None,
        phase_of(job, settings["sparse_steps"], [settings["lang"]]),
        surroundings(job, context),
        density=settings["density"],
        head=[name for name, _ in model.named_parameters() if name not in encoder],
        l1=settings["l1"],
    )
    delta = _difference(model, tuning, encoder, _meta(job, settings["density"]))
    if context.rank == 0:
        save_delta(delta, sft_folder(job.folder))
    after = held_out_bits(model, pack, vocabulary)
    context.report({"step": tuning.sparse.step, "tokens": tuning.tokens, "bits_per_character": after[settings["lang"]]})
    return {
        "bits_per_character_before": before,
        "bits_per_character": after,
        "parameters": delta.parameters,
        "tokens": tuning.tokens,
        "seconds": tuning.seconds,
        "loss": tuning.sparse.terms,
    }


def sft_folder(step: Path) -> Path:
    """Where the SFT of a finished ``adapt`` step lies."""
    return step / "sft"


def _take_given(job: Job) -> dict[str, Any]:
    place, lang = job.inputs["sft"], job.settings["lang"]
    teacher = load_masked_lm(job.inputs["teacher"])
    sft = load_sft(place, "language_sfts", {"language": lang})
    fitting = in_differences(fit_delta(sft, teacher, place), teacher)
    meta = _meta(job, density=fitting.parameters / sum(value.numel() for value in teacher.base_model.parameters()))
    if sft.meta.get("base_fingerprint", meta["base_fingerprint"]) != meta["base_fingerprint"]:
        log.warning("%s was made of other files than this teacher's, of %s", place, sft.meta["base_model"])
    save_delta(replace(fitting, meta={**meta, **sft.meta}), sft_folder(job.folder))
    return {"parameters": fitting.parameters, "tokens": 0, "seconds": 0.0}


def _encoder_names(model: PreTrainedModel) -> dict[str, str]:
    """Give the encoder's parameters by their names in the model: what is tied to the head may go by the head's name."""
    family = family_of(model.config)
    own = family.parameter_prefix(model)
    names = {id(value): own + name for name, value in family.encoder(model).named_parameters()}
    return {name: names[id(value)] for name, value in model.named_parameters() if id(value) in names}


def _difference(
    model: PreTrainedModel, tuning: SparseTuning, encoder: Mapping[str, str], meta: Mapping[str, Any]
) -> SparseDelta:
    tuned = dict(model.named_parameters())
    names = [name for name in tuning.before if name in encoder]
    before, after = ({encoder[name]: weights[name] for name in names} for weights in (tuning.before, tuned))
    return extract_delta(before, after, (), meta)


def _meta(job: Job, density: float) -> dict[str, Any]:
    return {
        "base_model": job.about["teacher"],
        "base_fingerprint": content_fingerprint(job.inputs["teacher"]),
        "language": job.settings["lang"],
        "density": density,
        "method": "lt-sft",
    }
