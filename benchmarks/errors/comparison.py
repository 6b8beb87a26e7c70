"""The answers of a run's students, their teachers and models beside them, to the same test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bistil_ray.models.heads import load_model, model_labels
from bistil_ray.models.language_tokenizers import tokenizer_for
from bistil_ray.models.student import cut_vocabulary
from bistil_ray.results.comparison import settings_of
from bistil_ray.results.records import Record
from bistil_ray.tasks.registry import TASKS
from bistil_ray.tasks.tagging import WORDS, Tagging
from bistil_ray.tasks.task import read_labelled
from bistil_ray.vocab.match import kept_by_name

from ..finished import FinishedRun
from .answers import answers, by_hardest_word, fate, scores_by
from .word_groups import FREQUENCIES, PIECES, by_frequency, by_pieces, word_counts


def compare(shared: Path, run: FinishedRun, students: Sequence[Record], beside: Mapping[str, str]) -> dict[str, Any]:
    """Compare the students of one teacher in one language with it and with the models ``beside`` them, by name.

    The seeds of a setting are taken together: their answers to the same sentences count as those to so many sentences.
    Between teacher and students stands the teacher at its whole depth with the students' vocabulary: what it loses is
    lost by trimming, the rest by making it smaller. Vocabulary and pieces are those of the first student.
    """
    first, lang = students[0], students[0].lang
    settings, task = run.settings(first), TASKS[first.task]
    assert isinstance(task, Tagging)
    examples = read_labelled(task, str(shared / "data" / task.name / lang / "test.parquet"))
    examples = task.relabel(examples, settings["label_map"], settings["labels"])
    sentences, gold_tags = examples.columns[WORDS], examples.columns[task.tags]
    words = {word for sentence in sentences for word in sentence}
    frequency = by_frequency(words, word_counts(str(shared / "data" / "corpora"), lang))
    small = tokenizer_for(first.model_dir, lang)
    pieces = by_pieces(words, small)

    @cache
    def predicted(folder: str, cut: bool = False) -> list[list[str]]:
        model, tokenizer = load_model(task.head, folder), tokenizer_for(folder, lang)
        if cut:
            model, tokenizer = cut_vocabulary(model, kept_by_name(tokenizer, small)), small
        return task.predict(model, tokenizer, examples, model_labels(model), settings["max_length"])

    def row(name: str, models: Sequence[str], teachers: Sequence[str], cut: bool = False) -> dict[str, Any]:
        gold = answers(gold_tags * len(models), task.spans)
        said = answers([tags for folder in models for tags in predicted(folder, cut)], task.spans)
        taught = answers([tags for folder in teachers for tags in predicted(folder)], task.spans)
        asked = sentences * len(models)
        return {
            "name": name,
            "models": list(models),
            **scores_by(lambda answer: "all", gold, said)["all"],
            **fate(gold, taught, said),
            "by": {
                "tag": scores_by(lambda answer: answer[3], gold, said),
                "frequency": scores_by(by_hardest_word(asked, frequency, FREQUENCIES), gold, said),
                "pieces": scores_by(by_hardest_word(asked, pieces, PIECES), gold, said),
            },
        }

    places = {record.step: record.model_dir for record in run.records}
    taught_by = {student.step: places[run.needs(student)["evaluate"]] for student in students}
    teachers = list(dict.fromkeys(taught_by.values()))
    rows = [row("teacher", teachers, teachers), row("teacher, vocabulary cut", teachers, teachers, cut=True)]
    for setting in settings_of(students):
        made = setting.records[0]
        name = f"{made.recipe}, {made.layers} layers, density {made.density}"
        models = [record.model_dir for record in setting.records]
        rows.append(row(name, models, [taught_by[record.step] for record in setting.records]))
    rows += [row(name, [folder], teachers[:1]) for name, folder in beside.items()]
    return {"task": task.name, "lang": lang, "teacher": first.teacher, "rows": rows}
