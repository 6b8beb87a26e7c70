"""Looking at a run's inputs before anything is spent: each is found, opened and fingerprinted, each mistake is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .config import RunConfig
from .data.corpus import corpus_files, list_shards
from .data.fingerprint import content_fingerprint
from .data.tasks import label_set, map_labels, read_tagged, task_files
from .errors import ConfigError, ModelError
from .facts import Facts, Input, TaskFacts, TeacherFacts
from .models.families import check_teacher, family_of, load_tokenizer
from .models.hub import locate_model
from .models.taggers import check_labels


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
    teachers = [look_at_teacher(place, name, config.layers, lengths) for place, name in names.items()]
    corpora = {
        lang: look_at_corpus(config.corpora, lang, config.text_column) for lang in (config.source, *config.langs)
    }
    return Facts(teachers, corpora, look_at_task(config))


def look_at_task(config: RunConfig) -> TaskFacts:
    """Check the labelled data and the task teachers given for it.

    Needed are the source's training split and each target's test split; all labels must be in the training split.
    """
    places = {lang: task_files(config.task_data, lang, "test") for lang in config.langs}
    places[config.source] = task_files(config.task_data, config.source, "train", *places.get(config.source, ()))
    train = read_tagged(places[config.source]["train"])
    labels = label_set(train, config.label_map)
    for lang, splits in places.items():
        for split in {"test"} | ({"validation"} if lang == config.source else set()):
            if split in splits:
                map_labels(read_tagged(splits[split]), config.label_map, labels)
    files = {
        lang: {split: Input(uri, content_fingerprint(uri)) for split, uri in splits.items()}
        for lang, splits in places.items()
    }
    return TaskFacts(files, len(train), labels, _given_task_teachers(config, labels))


def look_at_student(place: str) -> tuple[Input, int]:
    """Check a phase-1 student; give it and its number of layers."""
    folder = locate_model(place, "--student")
    return Input(str(folder), content_fingerprint(str(folder))), check_teacher(folder, ()).num_hidden_layers


def display_names(places: Sequence[str]) -> dict[str, str]:
    """Name each teacher by the last part of its place, or by the whole of it where two end alike."""
    last = {place: place.rstrip("/").split("/")[-1] for place in places}
    clashes = Counter(last.values())
    return {place: name if clashes[name] == 1 else place for place, name in last.items()}


def look_at_teacher(
    place: str, name: str, layers: Sequence[int], lengths: Mapping[str, int], flag: str = "--teachers"
) -> TeacherFacts:
    """Check a teacher and that students of ``layers`` can be cut from it (half its layers where none are given).

    ``lengths`` are the settings, by key, that say how many tokens it will see at once; it must have positions for them.
    """
    folder = locate_model(place, flag)
    facts = check_teacher(folder, layers)
    positions = family_of(facts).longest_text(facts)
    for key, length in lengths.items():
        if length > positions:
            raise ConfigError(
                f"{key} is {length}, but {place} sees at most {positions} tokens: --set {key}={positions}"
            )
    if not layers and facts.num_hidden_layers % 2:
        raise ModelError(
            f"{place} has {facts.num_hidden_layers} layers, which cannot be halved: give the student's (--layers)"
        )
    return TeacherFacts(
        name=name,
        model=Input(str(folder), content_fingerprint(str(folder))),
        tokenizer=_tokenizer(folder),
        layers=facts.num_hidden_layers,
        hidden=facts.hidden_size,
        intermediate=facts.intermediate_size,
        vocab_size=facts.vocab_size,
    )


def look_at_tokenizer(place: str, flag: str = "--tokenizer") -> Input:
    """Check a tokenizer and fingerprint it."""
    folder = locate_model(place, flag)
    load_tokenizer(folder)
    return _tokenizer(folder)


def look_at_corpus(corpora: str, lang: str, column: str) -> Input:
    """Check a language's corpus and fingerprint it."""
    files = corpus_files(corpora, lang)
    list_shards(files, column)
    return Input(corpora, "+".join(content_fingerprint(file) for file in files))


def _tokenizer(folder: Path) -> Input:
    # What a tokenizer does is in tokenizer.json; its configuration beside it names classes and roles.
    files = [
        folder / "tokenizer.json",
        folder / "tokenizer_config.json",
        folder / "vocab.txt",
        folder / "sentencepiece.bpe.model",
    ]
    return Input(str(folder), "+".join(content_fingerprint(str(file)) for file in files if file.is_file()))


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
        check_labels(folder, check_teacher(folder, ()).id2label.values(), labels)
    return {name: Input(str(folder), content_fingerprint(str(folder))) for name, folder in checkpoints.items()}
