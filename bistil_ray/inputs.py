"""Looking at a run's inputs before anything is spent: each is found, opened and fingerprinted, each mistake is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedConfig

from .assignment import check_predictions
from .config import RunConfig
from .data.batches import length_of
from .data.corpus import corpus_files, list_shards
from .data.examples import Examples, task_files
from .data.fingerprint import content_fingerprint
from .errors import ConfigError, DataError
from .facts import Facts, Input, TaskFacts, TeacherFacts, display_names
from .feasibility import check_merged_students, check_students
from .languages import parse_language
from .models.families import family_of
from .models.heads import check_labels
from .models.hub import locate_model, locate_sft
from .models.language_tokenizers import tokenizer_folders, tokenizer_for
from .models.loading import TOKENIZER_PARTS, check_teacher, load_tokenizer
from .planning.text_steps import Shape
from .recipes import MERGEDISTILL
from .sparse.given import is_sft, language_told
from .storage import absolute
from .tasks.registry import TASKS
from .tasks.task import read_labelled

ENCODED = 64
"""Examples of a training split that are encoded, at least, to estimate how many tokens it has."""


def gather_facts(config: RunConfig) -> Facts:
    """Open every input of a run and give what the plan needs to know; raises the first BistilError met."""
    if config.source in config.langs:
        raise ConfigError(f"--langs holds the source language {config.source!r}: name target languages only")
    names = display_names(config.teachers)
    lengths = {
        "packing.length": config.packing.length,
        "teach.max_length": config.teach.max_length,
        "finetune.max_length": config.finetune.max_length,
    }
    teachers = [look_at_teacher(place, name, lengths) for place, name in names.items()]
    for teacher in teachers:
        check_students(teacher, config)
    merges = MERGEDISTILL in config.recipes
    if merges:
        check_merged_students(config)
        check_predictions(teachers, config.merge.top_k)
    alone = config.taught_in if config.adapt.enabled or merges else ()
    corpora = {
        lang: look_at_corpus(config.corpora, lang, config.text_column)
        for lang in dict.fromkeys((config.source, *config.langs, *alone))
    }
    return Facts(teachers, corpora, look_at_task(config), look_at_language_sfts(config))


def look_at_task(config: RunConfig) -> TaskFacts:
    """Check the labelled data and the task teachers given for it.

    Needed are the training split of each language whose labels are learned from and each target's test split; all
    labels must be in the source's training split. Looked at besides are the source's test set and the validation sets
    of all that are learned from.
    """
    task = TASKS[config.task]
    needed = {lang: ["test"] for lang in config.langs}
    for lang in config.taught_in:
        needed.setdefault(lang, []).append("train")
    places = {lang: task_files(config.task_data, lang, *splits) for lang, splits in needed.items()}

    def read(lang: str, split: str) -> Examples:
        return read_labelled(task, places[lang][split])

    train = {lang: read(lang, "train") for lang in config.taught_in}
    labels = task.labels(train[config.source], config.label_map)
    for lang in config.taught_in:
        known = ("test", "validation") if lang == config.source else ("validation",)
        needed[lang] += [split for split in known if split in places[lang]]
    for lang, splits in needed.items():
        for split in dict.fromkeys(splits):
            task.relabel(train[lang] if split == "train" else read(lang, split), config.label_map, labels)
    files = {
        lang: {split: Input(absolute(uri), content_fingerprint(uri)) for split, uri in splits.items()}
        for lang, splits in places.items()
    }
    return TaskFacts(files, _train_tokens(config, train, labels), labels, _given_task_teachers(config, labels))


def look_at_student(place: str, lengths: Mapping[str, int]) -> tuple[Input, Shape]:
    """Check a phase-1 student and all of its tokenizers, and ``lengths`` as of a teacher; give it and its shape."""
    folder = locate_model(place, "--student")
    facts = [check_teacher(folder, tokenizer) for tokenizer in tokenizer_folders(folder)][0]
    _check_lengths(facts, place, lengths)
    return Input(str(folder), content_fingerprint(str(folder))), Shape(facts.num_hidden_layers, facts.hidden_size)


def look_at_language_sfts(config: RunConfig) -> dict[str, Input]:
    """Find the language SFTs that are given, by language."""
    given = config.language_sfts
    if given is None:
        return {}
    if len(config.teachers) > 1:
        raise ConfigError("language_sfts belong to one teacher, but there are several: give one (--teachers)")
    if config.adapt.enabled:
        raise ConfigError("language_sfts are given and adapt.enabled would make them: leave out one of the two")
    languages = config.languages
    if isinstance(given, str):
        given = {lang: given.replace("{lang}", lang) for lang in languages}
    missing = [lang for lang in languages if lang not in given]
    if missing:
        raise ConfigError(f"language_sfts have none for {missing[0]!r}: they name {', '.join(given)}")
    places = {lang: locate_sft(given[lang], "language_sfts") for lang in languages}
    for lang, place in places.items():
        told = language_told(place)
        if told is not None and parse_language(told) != lang:
            raise ConfigError(f"language_sfts has {given[lang]} for {lang!r}, but it is the SFT of {told!r}")
    return {lang: Input(str(place), content_fingerprint(str(place))) for lang, place in places.items()}


def look_at_teacher(place: str, name: str, lengths: Mapping[str, int], flag: str = "--teachers") -> TeacherFacts:
    """Check a teacher.

    ``lengths`` are the settings or flags that say how many tokens it will see at once; it must have positions for them.
    """
    folder = locate_model(place, flag)
    facts = check_teacher(folder)
    _check_lengths(facts, place, lengths)
    return TeacherFacts(
        name=name,
        model=Input(str(folder), content_fingerprint(str(folder))),
        tokenizer=_tokenizer(folder),
        layers=facts.num_hidden_layers,
        hidden=facts.hidden_size,
        intermediate=getattr(facts, family_of(facts).width_between),
        vocab_size=facts.vocab_size,
        family=facts.model_type,
    )


def _check_lengths(facts: PreTrainedConfig, place: str, lengths: Mapping[str, int]) -> None:
    positions = family_of(facts).longest_text(facts)
    for key, length in lengths.items():
        if length > positions:
            to_set = key if key.startswith("--") else f"--set {key}"
            raise ConfigError(f"{key} is {length}, but {place} sees at most {positions} tokens: {to_set}={positions}")


def look_at_tokenizer(place: str) -> Input:
    """Check a tokenizer and fingerprint it."""
    folder = locate_model(place, "--tokenizer")
    load_tokenizer(folder)
    return _tokenizer(folder)


def look_at_corpus(corpora: str, lang: str, column: str, flag: str = "--set text_column") -> Input:
    """Check a language's corpus and fingerprint it; ``flag`` is that by which the user names ``column``."""
    files = corpus_files(corpora, lang)
    if not any(shard.has_text for shard in list_shards(files, column, flag)):
        raise DataError(f"{', '.join(files)} has no text in column {column!r}: all rows are null ({flag})")
    return Input(absolute(corpora), "+".join(content_fingerprint(file) for file in files))


def _tokenizer(folder: Path) -> Input:
    files = [folder / name for name in TOKENIZER_PARTS]
    return Input(str(folder), "+".join(content_fingerprint(str(file)) for file in files if file.is_file()))


def _train_tokens(config: RunConfig, train: Mapping[str, Examples], labels: Sequence[str]) -> dict[int, dict[str, int]]:
    """Estimate the tokens of training splits, cut or in windows, by a few examples of each, evenly spread."""
    task, model = TASKS[config.task], locate_model(config.teachers[0], "--teachers")
    tokens: dict[int, dict[str, int]] = {config.teach.max_length: {}, config.finetune.max_length: {}}
    for lang, examples in train.items():
        every = max(1, len(examples) // ENCODED)
        columns = {name: values[::every] for name, values in examples.columns.items()}
        few = task.relabel(
            replace(examples, columns=columns, numbers=examples.numbers[::every]), config.label_map, labels
        )
        tokenizer = tokenizer_for(model, lang)
        for length, estimates in tokens.items():
            encoded = task.encode(few, tokenizer, labels, length)
            estimates[lang] = round(sum(map(length_of, encoded)) * len(examples) / len(few))
    return tokens


def _given_task_teachers(config: RunConfig, labels: Sequence[str]) -> dict[str, Input]:
    given, names = config.task_teacher, display_names(config.teachers)
    if given is None:
        return {}
    if isinstance(given, str):
        if len(names) > 1:
            raise ConfigError(
                "task_teacher is one checkpoint, but there are several teachers: give a mapping, such as "
                "--set 'task_teacher={teacher: checkpoint}'"
            )
        given = dict.fromkeys(names, given)
    unknown = [place for place in given if place not in names and place not in names.values()]
    if unknown:
        raise ConfigError(f"task_teacher names {unknown[0]!r}, which is not one of --teachers {', '.join(names)}")
    checkpoints = {
        names.get(place, place): locate_model(checkpoint, "task_teacher") for place, checkpoint in given.items()
    }
    for folder in checkpoints.values():
        if labels and not is_sft(folder):
            check_labels(folder, check_teacher(folder).id2label.values(), labels)
    return {name: Input(str(folder), content_fingerprint(str(folder))) for name, folder in checkpoints.items()}
