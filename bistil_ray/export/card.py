"""Model cards: what a model is, where it comes from, how good it is and how to use it, as far as a run recorded it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..languages import language_name
from ..recipes import TEACHER
from ..results.records import Record
from .description import METHODS, data_used, settings_used
from .heads import Head, head_of, read_config
from .origin import Origin
from .usage import program

UNKNOWN = "unknown"
THIS_FOLDER = "path/to/this/folder"
_CITATIONS = """```bibtex
@inproceedings{ansell-etal-2023-bistil,
  title = {Distilling Efficient Language-Specific Models for Cross-Lingual Transfer},
  author = {Ansell, Alan and Ponti, Edoardo Maria and Korhonen, Anna and Vuli{\\'c}, Ivan},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2023},
  year = {2023}
}
@inproceedings{ansell-etal-2022-composable,
  title = {Composable Sparse Fine-Tuning for Cross-Lingual Transfer},
  author = {Ansell, Alan and Ponti, Edoardo Maria and Korhonen, Anna and Vuli{\\'c}, Ivan},
  booktitle = {Proceedings of the 60th Annual Meeting of the Association for Computational Linguistics},
  pages = {1778--1796},
  year = {2022}
}
```"""


def model_card(
    folder: Path,
    origin: Origin | None,
    *,
    place: str = THIS_FOLDER,
    licence: str = UNKNOWN,
    onnx_file: str | None = None,
    forms: str = "",
) -> str:
    """Write the README.md of a model whose configuration lies in ``folder``.

    ``place`` is where its users will find it, ``licence`` its id on the hub, ``forms`` a section on what was exported.
    Without an origin the card says that nothing is known. Everything in it is what was recorded or measured.
    """
    config = read_config(folder)
    head = head_of(config, folder)
    parts = [_front_matter(head, origin, licence, onnx_file)]
    if origin is None:
        parts += [f"# {_title(head)}", f"This model {head.about}. {_shape(config)}", _NO_ORIGIN]
    else:
        record = origin.record
        parts += [
            f"# {_title(head, record)}",
            f"{_summary(head, origin)} {_shape(config)}",
            "## Scores",
            _scores(origin),
            "## How it was made",
            f"{METHODS[record.recipe]}\n\n{settings_used(origin)}",
            "## Data and licences",
            data_used(origin, licence),
        ]
    code = program(head, place, onnx_file)
    parts += [forms, "## How to use it", f"```python\n{code}\n```", "## Limits", _limits(head, origin)]
    parts += ["## Citation", "Please cite the authors of the methods:", _CITATIONS]
    return "\n\n".join(part for part in parts if part) + "\n"


_NO_ORIGIN = (
    "No run's record lies beside this model: what it was trained on, how, and how good it is, is not known here."
)


def _front_matter(head: Head, origin: Origin | None, licence: str, onnx_file: str | None) -> str:
    about: dict[str, Any] = {"license": licence, "library_name": "transformers" if onnx_file is None else "onnx"}
    if head.pipeline is not None:
        about["pipeline_tag"] = head.pipeline
    about["tags"] = ["bistil", "knowledge-distillation", head.name]
    if origin is not None:
        record = origin.record
        about = {"language": [record.lang, record.source], **about}
        teacher = _hub_id_of_teacher(origin)
        if teacher is not None:
            about["base_model"] = teacher
    return f"---\n{yaml.safe_dump(about, sort_keys=False)}---"


def _hub_id_of_teacher(origin: Origin) -> str | None:
    """Give the teacher's hub id; None where it is a folder, or is not known."""
    places = origin.config.teachers if origin.config is not None else ()
    for place in places:
        if place.rstrip("/").endswith(origin.record.teacher):
            is_id = place.count("/") <= 1 and not place.startswith((".", "/", "~")) and not Path(place).exists()
            return place if is_id else None
    return None


def _title(head: Head, record: Record | None = None) -> str:
    if record is None:
        return f"A model for {head.name}"
    kind = "student" if record.is_student else "model"
    of = f"{record.teacher}, distilled" if record.is_student else record.teacher
    return f"{language_name(record.lang)} {record.task} {kind}: {of}"


def _summary(head: Head, origin: Origin) -> str:
    record = origin.record
    target, source = language_name(record.lang), language_name(record.source)
    what = "a bilingual student of" if record.is_student else "the fine-tuned"
    sources = ", ".join(map(language_name, origin.config.taught_in)) if origin.config else source
    return (
        f"This model {head.about} in {target} ({record.lang}); it also knows {source} ({record.source}). It is {what} "
        f"`{record.teacher}`, made with bistil-ray, and has learned the task (`{record.task}`) from labels in "
        f"{sources} only{'' if record.lang in sources else ': zero-shot in its language'}."
    )


def _shape(config: Mapping[str, Any]) -> str:
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    hidden = config.get("hidden_size", config.get("dim"))
    return f"It has {layers} layers of {hidden} units and a vocabulary of {config['vocab_size']:,} tokens."


def _scores(origin: Origin) -> str:
    record = origin.record
    head = (
        f"| model | recipe | layers | parameters | size | latency | {record.metric} {record.lang} test | "
        f"{record.source} test | {record.source} validation |\n| --- | --- | --: | --: | --: | --: | --: | --: | --: |"
    )
    rows = [_row("**this model**", record), *(_row(_name(peer), peer) for peer in origin.peers)]
    return "\n".join([head, *rows]) + f"\n\n{_selection(origin)}"


def _row(name: str, record: Record) -> str:
    latency = "-" if record.latency_ms is None else f"{record.latency_ms:.1f} ms"
    scores = (record.score, record.source_score, record.validation_score)
    cells = [
        name,
        record.recipe + ("" if record.density is None else f", density {record.density:g}"),
        f"{record.layers} x {record.hidden}",
        f"{record.params:,}",
        f"{record.bytes / 1e6:.1f} MB",
        latency,
        *("-" if score is None else f"{score:.3f}" for score in scores),
    ]
    return f"| {' | '.join(cells)} |"


def _name(record: Record) -> str:
    return f"student of {record.teacher}" if record.is_student else f"teacher {record.teacher}, undistilled"


def _selection(origin: Origin) -> str:
    """Say how the model was chosen, and what that means for its scores."""
    record = origin.record
    students = [other for other in origin.run if other.is_student and other.lang == record.lang]
    target, source = language_name(record.lang), language_name(record.source)
    if not record.is_student:
        chosen = "It is the undistilled teacher that students were compared with."
    elif not origin.is_best:
        chosen = f"It is one of the run's {len(students)} students of this language, and not the one it chose."
    elif record.validation_score is None:
        chosen = (
            f"Of the run's {len(students)} students of this language it is the smallest: there was no {source} "
            "validation set to choose by."
        )
    else:
        chosen = (
            f"Of the run's {len(students)} students of this language it has the highest score on the {source} "
            f"validation set."
        )
    seeds = len({other.seed for other in students})
    return (
        f"{chosen} No {target} labels were used to train or to choose it; the {target} test score is as it came out, "
        f"from one training run (seed {record.seed}; the run had {seeds} {'seed' if seeds == 1 else 'seeds'}). "
        "Baselines are the best of their recipe by the same rule. Size is that of float32 weights; latency is the "
        "median for one text of 128 tokens on one CPU thread of the machine that made it."
    )


def _limits(head: Head, origin: Origin | None) -> str:
    limits = ["It repeats the mistakes and prejudices of its teacher and of the texts it was trained on."]
    if origin is not None:
        record = origin.record
        limits += [
            f"It is meant for {language_name(record.lang)} and {language_name(record.source)}: its vocabulary was cut "
            "to them, and other languages come out as unknown tokens."
            if record.is_student
            else "It was scored on one language here.",
            f"Its score was measured on one test set, from one source of text: expect other numbers on yours."
        ]
    if head.name == "dependency-parsing":
        limits.append("Each word gets its best head: the heads of a sentence need not make a tree.")
    return "\n".join(f"- {limit}" for limit in limits)
