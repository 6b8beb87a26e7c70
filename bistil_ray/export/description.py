"""Words for a card: how a model was made, with what settings, from which data."""

from __future__ import annotations

from collections.abc import Mapping

from ..config import RunConfig
from ..languages import language_name
from ..recipes import MERGEDISTILL, RECIPES, TEACHER, phase_2_settings
from ..results.records import Record
from ..settings import Distillation, Merging, Optimisation
from .markdown import code, words
from .origin import Origin

TASKS: Mapping[str, str] = {
    "ner": "named entities",
    "pos": "parts of speech",
    "dep": "dependency parsing",
    "nli": "natural language inference",
    "qa": "question answering",
    "topic": "topics",
    "sentiment": "sentiment",
}
"""What the tasks are called in full, by their names in configurations."""
_LABELS = "It was then {tuned} on the task by the labels alone."
_PHASE_1 = "Phase 1: it learned the teacher's hidden states and attention maps on plain text of both languages."
_BISTIL = (
    "BISTIL: a student with some of the teacher's layers, and its vocabulary cut to the two languages. {phase_1} Phase "
    "2: it was {tuned} on the task under the task-tuned teacher, whose hidden states, attention maps and logits it "
    "learned."
)
METHODS: Mapping[str, str] = {
    "bistil": _BISTIL,
    "bistil+": f"{_BISTIL} Unlike in BISTIL, half of the batches were plain text of the target language.",
    "nodistil": (
        "A baseline: a student with some of the teacher's layers, and its vocabulary cut to the two languages, as of "
        f"BISTIL. {{phase_1}} {_LABELS}"
    ),
    "minilmv2": f"A baseline: random weights that learned relations of the teacher's attention (MiniLMv2). {_LABELS}",
    "distilmbert": f"A baseline: distilled with DistilmBERT's mix of losses from every second layer. {_LABELS}",
    "scratch": f"A baseline: a masked language model trained from random weights, without a teacher. {_LABELS}",
    MERGEDISTILL: (
        "MergeDistill: one student of several teachers, each of which knows some of the languages, with the union of "
        "their vocabularies. It learned what each language's teacher predicts for masked tokens of plain text in it. "
        f"{_LABELS}"
    ),
    TEACHER: "The teacher as it is, fine-tuned on the task: nothing was distilled.",
}


def method_of(origin: Origin) -> str:
    """Say how the model was made, for readers of its card."""
    record, config = origin.record, origin.config
    return METHODS[record.recipe].format(
        phase_1="Phase 1 was left out." if config is not None and not config.distil.steps else _PHASE_1,
        tuned="fine-tuned with all of its parameters" if record.density == 1 else "sparsely fine-tuned (LT-SFT)",
    )


def settings_used(origin: Origin) -> str:
    """List the settings that the model was made with, as Markdown."""
    record, config = origin.record, origin.config
    items = [f"teacher {code(record.teacher)}, recipe `{record.recipe}`, seed {record.seed}"]
    if record.density is not None:
        items.append(f"density {record.density:g}: the share of the encoder that fine-tuning could change")
    if config is not None:
        items += _phases(config, record)
    if record.tokens is not None and record.seconds is not None:
        items.append(f"{record.tokens:,} tokens trained on, in {record.seconds / 3600:.2f} hours")
    items.append(f"step `{record.step}`, finished {record.time}")
    return "\n".join(f"- {item}" for item in items)


def data_used(origin: Origin, licence: str) -> str:
    """Say which data went in and under which licences, as Markdown."""
    record, config = origin.record, origin.config
    if config is None:
        return "The run's configuration is gone: where its texts and labels came from is not known here."
    taught = ", ".join(config.taught_in)
    items = [f"labels ({taught}): {code(config.task_data)}", f"test sets: {code(config.task_data)}"]
    if record.is_student:
        items.insert(
            0, f"texts in {language_name(record.source)} and {language_name(record.lang)}: {code(config.corpora)}"
        )
    if config.label_map:
        items.append(
            f"labels renamed: {', '.join(f'{words(old)} to {words(new)}' for old, new in config.label_map.items())}"
        )
    return "\n".join(f"- {item}" for item in items) + (
        "\n\nLicences of the data and of the teacher were not recorded: they are unknown here, and yet bind whoever "
        f"uses the model. Licence of the model itself: {licence}."
    )


def _phases(config: RunConfig, record: Record) -> list[str]:
    """Say how each training went, of those that there were."""
    recipe, text, tune, teach = record.recipe, config.distil, config.finetune, config.teach
    if recipe == MERGEDISTILL:
        return [
            f"on text: {_on_text(config.merge, config.packing.length)}",
            f"on labels: {_tuning(record.density, tune.dense_epochs, tune.sparse_epochs)}, {_pace(tune)}",
        ]
    items = []
    if recipe == TEACHER or RECIPES[recipe].under_teacher:
        density = record.density if recipe == TEACHER else teach.density
        own = f"{_tuning(density, teach.epochs, teach.sparse_epochs)}, {_pace(teach)}"
        items.append(f"task teacher: {own if config.task_teacher is None else 'given'}")
        if config.adapt.enabled or config.language_sfts:
            items.append("the teacher was adapted to each language by sparse fine-tuning (LT-SFT)")
    if recipe == TEACHER:
        return items
    made = RECIPES[recipe]
    tune = phase_2_settings(made, tune)
    left_out = "left out, the student went into phase 2 as it was built"
    return [
        *items,
        f"vocabulary: tokens of a frequency of {config.vocabulary.threshold:g} or more in either language",
        f"phase 1: {_on_text(text, config.packing.length) if text.steps else left_out}",
        f"phase 2: {_tuning(record.density, tune.dense_epochs, tune.sparse_epochs)}, {_pace(tune)}"
        + (f", temperature {tune.temperature:g}" if made.under_teacher else "")
        + (f", {tune.text_share:.0%} of the batches plain text of the target language" if tune.text_share else "")
        + (f", weights averaged over the last {tune.average:.0%} of its steps" if tune.average else ""),
    ]


def _on_text(phase: Distillation | Merging, length: int) -> str:
    return f"{phase.steps:,} steps of {phase.batch_size} blocks of {length} tokens, learning rate {phase.lr:g}"


def _tuning(density: float | None, dense: float, sparse: float) -> str:
    if density is None:
        return f"{dense:g} epochs"
    chosen = f"{dense:g} epochs to choose the parameters and {sparse:g} to tune them"
    return f"{sparse:g} epochs, all parameters" if density == 1 else chosen


def _pace(phase: Optimisation) -> str:
    return f"batches of {phase.batch_size}, learning rate {phase.lr:g}"
