"""``bistil-ray finetune``: phase 2 alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bistil_ray.terminal import visible

from ..console import print_json, print_table, stderr
from ..options import TASK_HELP, Quiet, Seed
from ..single import carry_out, new_folder, only_language, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bistil_ray.config import RunConfig
    from bistil_ray.facts import Input
    from bistil_ray.planning.step import Step
    from bistil_ray.planning.text_steps import Shape

EPILOG = "Example: bistil-ray finetune --student student/ --teacher TEACHER --task-data ner/ --lang sw --out sw-ner/"

READS = (
    *("task_sources", "label_map", "task_teacher", "language_sfts", "text_column"),
    *("packing", "distil", "teach", "finetune"),
)


def finetune(
    student: Annotated[str, typer.Option(help="A phase-1 student: the folder that distill or merge wrote.")],
    task_data: Annotated[str, typer.Option(help="Where <lang>/{train,validation,test}.parquet lie.")],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    teacher: Annotated[
        str | None,
        typer.Option(
            help="The teacher it was distilled from: a hub id or a folder; not for a student that was merged."
        ),
    ] = None,
    corpora: Annotated[
        str | None,
        typer.Option(help="Learn from plain text of --lang as well (recipe bistil+): where <lang>.parquet lies."),
    ] = None,
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "ner",
    source: Annotated[str, typer.Option(help="The language of the labels.")] = "en",
    lang: Annotated[str | None, typer.Option(help="The language to score; the source if not given.")] = None,
    density: Annotated[float, typer.Option(help="Share of the encoder that may change.")] = 0.08,
    seed: Seed = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as finetune.sparse_epochs=5.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's record instead of a table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a student sparsely on a task under a task-tuned teacher; writes the merged model, its SFT, its record.

    With --corpora half of its batches are plain text of the language to score: it learns what its teacher makes of it.
    A student of several teachers learns from the labels alone and keeps a tokenizer for each language.
    """
    from bistil_ray.config import to_yaml
    from bistil_ray.errors import ConfigError
    from bistil_ray.inputs import look_at_student
    from bistil_ray.models.language_tokenizers import teachers_by_language
    from bistil_ray.results.records import CONFIG, RESULTS, Record, RecordFile
    from bistil_ray.storage import write_text

    out = new_folder(out)
    flags = {
        "teacher": [teacher or student], "lang": lang or source, "source": source, "corpora": corpora or "",
        "task": task, "task_data": task_data, "density": density, "seed": seed,
    }  # fmt: skip
    config = settings_of(settings or [], flags, READS)
    # Under its teacher it reads what that one does.
    given, shape = look_at_student(student, {} if teacher else {"finetune.max_length": config.finetune.max_length})
    teachers = teachers_by_language(Path(given.uri))
    if teachers and (teacher is not None or corpora is not None):
        raise ConfigError(
            f"--student {student!r} has several teachers, it learns from labels alone: leave out "
            f"{'--corpora' if teacher is None else '--teacher'}"
        )
    if teachers:
        record = _by_labels(config, given, shape, teachers, out, quiet)
    elif teacher is not None:
        record = _under_teacher(config, given, shape, teacher, out, quiet)
    else:
        raise ConfigError(f"--student {student!r} learns under its teacher: name it (--teacher)")
    record |= {"model_dir": str(out)}
    # For export and evaluate, as in a run's folder.
    RecordFile(out / RESULTS).append(Record.model_validate(record))
    write_text(out / CONFIG, to_yaml(config))
    if as_json:
        print_json(record)
    else:
        print_table(("lang", record["metric"]), [(record["lang"], f"{record['score']:.3f}")], right=(record["metric"],))


def _by_labels(
    config: RunConfig, given: Input, shape: Shape, teachers: dict[str, str], out: Path, quiet: bool
) -> dict[str, Any]:
    """Tune a student of several teachers, one for all of its languages, and score one of them; give its record."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.inputs import look_at_task
    from bistil_ray.planning.merge_steps import given_merged_step
    from bistil_ray.planning.task_steps import evaluate_step, tuned_student_step

    target = only_language(config)
    for lang in config.languages:
        if lang not in teachers:
            raise ConfigError(f"--student does not know the language {lang!r}: it knows {', '.join(teachers)}")
    data = look_at_task(config)
    taken = given_merged_step(given, shape, teachers, config.seeds[0])
    tuned = tuned_student_step(config, data, taken, config.densities[0])
    scored = evaluate_step(config, data, target, {"task_teacher": tuned, "student": taken})
    results = carry_out([taken, tuned, scored], out, f"{tuned.key}/model", quiet=quiet)
    return dict(results[scored.key]["record"])


def _under_teacher(
    config: RunConfig, given: Input, shape: Shape, teacher: str, out: Path, quiet: bool
) -> dict[str, Any]:
    """Tune a student of one teacher and score it; give its record."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.facts import Facts
    from bistil_ray.feasibility import check_terms
    from bistil_ray.inputs import display_names, look_at_language_sfts, look_at_task, look_at_teacher
    from bistil_ray.models.layers import check_layers
    from bistil_ray.planning.plan import add_language_sfts, sfts_of
    from bistil_ray.planning.task_steps import evaluate_step, finetune_step, taught_step
    from bistil_ray.planning.text_steps import given_student_step
    from bistil_ray.recipes import RECIPES

    target, density = only_language(config), config.densities[0]
    lengths = {"teach.max_length": config.teach.max_length, "finetune.max_length": config.finetune.max_length}
    if config.corpora:
        lengths["packing.length"] = config.packing.length
    recipe = "bistil+" if config.corpora and not config.finetune.text_share else "bistil"  # a given share is the user's
    check_terms([RECIPES[recipe]], config)
    layer_choice = _layers_copied(config, Path(given.uri), target, teacher)
    facts = look_at_teacher(teacher, display_names([teacher])[teacher], lengths, "--teacher")
    check_layers(facts.layers, shape.layers, layer_choice)
    data = look_at_task(config)
    if config.adapt.enabled:
        raise ConfigError("this command has no text to adapt a teacher to: give its SFTs (--set language_sfts=...)")
    if config.finetune.text_share and not config.corpora:
        raise ConfigError("there is no text for finetune.text_share: say where it lies (--corpora)")
    steps: dict[str, Step] = {}
    known = Facts([facts], {}, data, look_at_language_sfts(config))
    sfts = add_language_sfts(config, known, facts, config.languages, lambda step: steps.setdefault(step.key, step))
    taught = taught_step(config, data, facts, sfts_of(sfts, config.taught_in))
    scored = evaluate_step(config, data, target, {"task_teacher": taught, **sfts_of(sfts, [config.source, target])})
    taken = given_student_step(given, shape, layer_choice, facts.name, target, config.seeds[0])
    needs = {"student": taken, "task_teacher": taught, "evaluate": scored, **sfts_of(sfts, config.taught_in)}
    if config.corpora:
        pack = _packed(config, given, target)
        needs |= {"pack": pack, **sfts_of(sfts, [target])}
        steps[pack.key] = pack
    step = finetune_step(config, data, facts, recipe, density, needs)
    order = [*steps.values(), taught, scored, taken, step]
    results = carry_out(order, out, f"{step.key}/model", beside=f"{step.key}/sft", quiet=quiet)
    return dict(results[step.key]["record"])


def _layers_copied(config: RunConfig, student: Path, lang: str, teacher: str) -> str | Sequence[int]:
    """Give the choice of the teacher's layers that a student was made of; refuse one of other languages."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.models.made_of import read_made_of

    told = read_made_of(student)
    if not told:
        return config.distil.layer_choice
    for code in (config.source, lang):
        if code not in told["languages"]:
            raise ConfigError(f"--student knows {' and '.join(told['languages'])}, not {code!r} (--lang, --source)")
    if Path(told["teacher"]).name != Path(teacher).name:
        stderr().print(visible(f"Note: the student was made of {told['teacher']}, not of {teacher}"))
    choice: str | list[int] = told["layer_choice"]
    return choice


def _packed(config: RunConfig, student: Input, lang: str) -> Step:
    """The text of one language in the tokens of a student, whose vocabulary is cut already."""
    from bistil_ray.inputs import look_at_corpus, look_at_tokenizer
    from bistil_ray.planning.text_steps import WHOLE_VOCABULARY, pack_step

    text = {lang: look_at_corpus(config.corpora, lang, config.text_column)}
    tokenizer = look_at_tokenizer(student.uri)
    return pack_step((lang,), config.text_column, WHOLE_VOCABULARY, config.packing, tokenizer, text)
