"""Looking at a run's inputs before anything is spent: every file is found, opened and fingerprinted, every mistake said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .config import RunConfig
from .data.corpus import corpus_files, list_shards
from .data.fingerprint import content_fingerprint
from .data.tasks import label_set, map_labels, read_tagged, task_files
from .errors import ConfigError, ModelError
from .models.families import check_teacher, load_tokenizer
from .models.hub import locate_model
from .facts import Facts, Input, TaskFacts, TeacherFacts


def gather_facts(config: RunConfig) -> Facts:
    """Open every input of a run and give what the plan needs to know; raises the first BistilError met."""
    if config.source in config.langs:
        raise ConfigError(f"--langs holds the source language {config.source!r}: name target languages only")
    names = _display_names(config.teachers)
    teachers = [look_at_teacher(place, name, config.layers) for place, name in names.items()]
    corpora = {
        lang: look_at_corpus(config.corpora, lang, config.text_column) for lang in (config.source, *config.langs)
    }
    return Facts(teachers, corpora, look_at_task(config, _given_task_teachers(config, names)))


def look_at_task(config: RunConfig, given: Mapping[str, Input] | None = None) -> TaskFacts:
    """Check the labelled data: the source's splits, each target's test split, and that every label is known."""
    places = {lang: task_files(config.task_data, lang, "test") for lang in config.langs}
    places[config.source] = task_files(config.task_data, config.source, "train", *places.get(config.source, ()))
    train = read_tagged(places[config.source]["train"])
    labels = label_set(train, config.label_map)
    for lang, splits in places.items():
        for split in {"test"} | ({"validation"} if lang == config.source else set()):
            if split in splits:
                map_labels(read_tagged(splits[split]), config.label_map, labels)
    files = {
        lang: {split: Input(uri, content_fingerprint(uri)) for split, uri in splits.items()} for lang, splits in places.items()
    }
    return TaskFacts(files, len(train), labels, given or {})


def look_at_student(place: str) -> tuple[Input, int]:
    """Check a phase-1 student; give it and its number of layers."""
    folder = locate_model(place, "--student")
    return Input(str(folder), content_fingerprint(str(folder))), check_teacher(folder, ()).num_hidden_layers


def _display_names(places: tuple[str, ...]) -> dict[str, str]:
    last = {place: place.rstrip("/").split("/")[-1] for place in places}
    clashes = Counter(last.values())
    return {place: name if clashes[name] == 1 else place for place, name in last.items()}


def look_at_teacher(place: str, name: str, layers: Sequence[int]) -> TeacherFacts:
    """Check a teacher and that students of ``layers`` can be cut from it (half its layers where none are given)."""
    folder = locate_model(place)
    facts = check_teacher(folder, layers)
    if not layers and facts.num_hidden_layers % 2:
        raise ModelError(
            f"{place} has {facts.num_hidden_layers} layers, which cannot be halved: say how many a student gets (--layers)"
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
    files = [folder / "tokenizer.json", folder / "tokenizer_config.json", folder / "vocab.txt", folder / "sentencepiece.bpe.model"]
    return Input(str(folder), "+".join(content_fingerprint(str(file)) for file in files if file.is_file()))


def _given_task_teachers(config: RunConfig, names: dict[str, str]) -> dict[str, Input]:
    given = config.task_teacher
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
    checkpoints = {names.get(place, place): str(locate_model(checkpoint)) for place, checkpoint in given.items()}
    for folder in checkpoints.values():
        check_teacher(folder, ())
    return {name: Input(folder, content_fingerprint(folder)) for name, folder in checkpoints.items()}
