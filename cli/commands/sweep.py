"""``bistil-ray sweep``: many students at once."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bistil_ray.terminal import visible

from ..console import print_json, stderr, stdout
from ..options import CORPORA_HELP, RECIPE_HELP, TASK_HELP, AsJson, Quiet
from ..plan_view import plan_data, show_plan
from .results import show_records

if TYPE_CHECKING:
    from rich.console import Console

    from bistil_ray.config import RunConfig
    from bistil_ray.planning.plan import Plan

EPILOG = "Example: bistil-ray sweep --langs sw,yo,ha"


def sweep(
    langs: Annotated[str | None, typer.Option(help="Target languages, such as sw,yo,ha.")] = None,
    source: Annotated[str | None, typer.Option(help="Source language, which has labels.")] = None,
    config: Annotated[str | None, typer.Option(help="A configuration file, or the name of a shipped one.")] = None,
    teachers: Annotated[str | None, typer.Option(help="Teachers: hub ids or folders, separated by commas.")] = None,
    corpora: Annotated[str | None, typer.Option(help=CORPORA_HELP)] = None,
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    task_data: Annotated[str | None, typer.Option(help="Where <lang>/{train,validation,test}.parquet lie.")] = None,
    task_sources: Annotated[
        str | None, typer.Option(help="Languages whose labels are learned from; the source if not given.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers of the students, such as 6,4; half the teacher's if not given.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(help="Hidden units of the students, such as 384; the teacher's if not given.")
    ] = None,
    densities: Annotated[str | None, typer.Option(help="Shares of the encoder that an SFT may change.")] = None,
    recipes: Annotated[
        str | None, typer.Option(help=f"Ways to make a student: {RECIPE_HELP}, mergedistill; teacher tunes that alone.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Random seeds, such as 0,1,2.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Where runs and steps are kept: a folder that all nodes share, s3:// or gs://.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; the same name continues it.")] = None,
    workers: Annotated[int | None, typer.Option(help="Training processes for each step.")] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            help="GPUs for each worker, may be a fraction. Not given: one, then what steps were measured to need."
        ),
    ] = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster to join.")] = None,
    max_parallel: Annotated[
        int | None, typer.Option(help="Most steps side by side; beside those on GPUs as many packs may run.")
    ] = None,
    share_teacher: Annotated[
        bool | None,
        typer.Option("--share-teacher", help="Students that see the same batches share their teacher's passes."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any key of the configuration: key=value.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and stop.")] = False,
    as_json: AsJson = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a plan of more than an hour.")] = False,
    quiet: Quiet = False,
) -> None:
    """Distil a student for every language, teacher, depth, density, recipe and seed; rerun to continue.

    Without data and teachers it takes the embedded sample: minutes on two CPU cores, no network.
    """
    flags: dict[str, Any] = {
        "langs": langs, "source": source, "teachers": teachers, "corpora": corpora, "task": task,
        "task_data": task_data, "task_sources": task_sources, "layers": layers, "hidden": hidden,
        "densities": densities, "recipes": recipes, "seeds": seeds, "storage": storage, "name": name,
        "workers": workers, "gpus_per_worker": gpus_per_worker, "address": address, "max_parallel": max_parallel,
        "share_teacher": share_teacher,
    }  # fmt: skip
    console = stderr() if as_json else stdout()
    resolved, of_sample = _resolve(config, settings or [], flags)

    from bistil_ray.distributed.sweep import check_name
    from bistil_ray.inputs import gather_facts
    from bistil_ray.planning.plan import make_plan
    from bistil_ray.run_storage import open_storage
    from bistil_ray.trackers.telling import check_trackers

    check_trackers(resolved.tracking)
    run = open_storage(resolved.storage).folder / (resolved.name or _default_name(resolved))
    check_name(resolved, run)
    with console.status("Looking at the inputs"):
        facts = gather_facts(resolved)
    work = make_plan(resolved, facts)
    data = plan_data(work, resolved, run)
    if of_sample:
        console.print("No data or teachers given: using the embedded sample (tiny teachers, made-up text, NER).")
    if plan:
        if as_json:
            print_json(data)
        else:
            show_plan(data, console)
        return
    _carry_out(resolved, work, run, data, console, as_json, yes, quiet)


def _resolve(config: str | None, settings: list[str], flags: dict[str, Any]) -> tuple[RunConfig, bool]:
    """Put the configuration together; tell whether it is that of the embedded sample, which is then written out."""
    from bistil_ray.config_sources import load_config, load_draft

    draft = load_draft(config, settings, flags)
    if config not in (None, "sample") or draft.still_to_give != ("teachers", "corpora", "task_data"):
        return load_config(config, settings, flags), False

    from bistil_ray.errors import ConfigError
    from bistil_ray.run_storage import open_storage
    from bistil_ray.sample.generate import materialise

    if draft.task != "ner":
        raise ConfigError(
            f"the embedded sample has labels for ner, not for {draft.task}: give --task-data, --teachers and --corpora"
        )
    paths = materialise(open_storage(draft.storage).folder / "sample")
    defaults = {
        "teachers": [str(path) for path in paths.teachers.values()],
        "corpora": str(paths.corpora),
        "task_data": str(paths.task_data),
    }
    return load_config("sample", settings, flags, defaults), True


def _default_name(config: RunConfig) -> str:
    """The same settings find their run again without a name."""
    import hashlib

    from bistil_ray.config import result_settings

    digest = hashlib.blake2b(json.dumps(result_settings(config)).encode(), digest_size=4).hexdigest()
    return f"{config.task}-{'-'.join((config.source, *config.langs))}"[:60] + f"-{digest}"


def _carry_out(
    config: RunConfig,
    plan: Plan,
    run: Path,
    data: dict[str, Any],
    console: Console,
    as_json: bool,
    yes: bool,
    quiet: bool,
) -> None:
    if not quiet:
        show_plan(data, console)
    if data["estimate"]["hours"] > 1 and not yes and console.is_terminal:
        typer.confirm("Start?", abort=True, err=as_json)

    from bistil_ray.distributed.progress import Board
    from bistil_ray.distributed.sweep import run_sweep
    from bistil_ray.results.records import read_records
    from bistil_ray.results.tables import arrange

    outcome = run_sweep(config, plan, run, Board(console, quiet))
    records = read_records(run)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
    else:
        show_records(arrange(records), console)
        _say_where(run, console)
    if outcome.interrupted:
        console.print(
            f"Interrupted. Run the same command again to continue; what is finished is kept in {config.storage}."
        )
        raise typer.Exit(130)
    if outcome.failed:
        for key, reason in outcome.failed.items():
            typer.echo(visible(f"{key} {reason}"), err=True)
        raise typer.Exit(1)


def _say_where(run: Path, console: Console) -> None:
    from bistil_ray.results.records import REPORT

    best = sorted(path.name for path in (run / "best").glob("[!.]*")) if (run / "best").exists() else []
    if best:
        console.print(f"Best students: {', '.join(str(run / 'best' / lang) for lang in best)}")
    if (run / REPORT).exists():
        console.print(f"Report: {run / REPORT}")
    console.print(f"Results: bistil-ray results {shlex.quote(str(run))}")
