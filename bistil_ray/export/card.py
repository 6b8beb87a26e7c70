"""Model cards: what a model is, where it comes from, how good it is and how to use it, as far as a run recorded it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..facts import display_names
from ..languages import language_name
from ..models.language_tokenizers import teachers_by_language, tokenizer_beside
from ..results.records import Record
from ..tasks.words import needs_space
from .description import TASKS, data_used, method_of, settings_used
from .heads import PARSER, TAGGER, Head, head_of, read_config
from .markdown import code, words
from .origin import Origin
from .scoreboard import scores_beside_peers
from .usage import THIS_FOLDER, program

UNKNOWN = "unknown"
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
    repository: str | None = None,
    licence: str = UNKNOWN,
    onnx_file: str | None = None,
    forms: str = "",
) -> str:
    """Write the README.md of a model whose configuration lies in ``folder``.

    ``repository`` is its name on the hub, if it goes there, ``licence`` that of the model in the hub's words,
    ``onnx_file`` the name of the ONNX file in its folder, if it is one, ``forms`` a section on what was exported.
    Without an origin the card says that nothing is known. Everything in it is what was recorded or measured.
    """
    config = read_config(folder)
    head = head_of(config, folder)
    parts = [_front_matter(head, origin, licence, onnx_file)]
    if origin is None:
        parts += [f"# A model for {head.name}", f"This model {head.about}. {_shape(config)}", _NO_ORIGIN]
    else:
        record = origin.record
        parts += [
            f"# {_title(record)}",
            f"{_summary(head, origin)} {_shape(config)}",
            "## Scores",
            scores_beside_peers(origin),
            "## How it was made",
            f"{method_of(origin)}\n\n{settings_used(origin)}",
            "## Data and licences",
            data_used(origin, licence),
        ]
    spaced = head in (TAGGER, PARSER) and needs_space(tokenizer_beside(folder))
    example = program(head, repository, onnx_file, spaced_words=spaced)
    spoken = _tokenizers(folder, repository)
    parts += [forms, "## How to use it", spoken, f"```python\n{example}\n```", "## Limits", _limits(head, origin)]
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


def _tokenizers(folder: Path, repository: str | None) -> str:
    """Say how the text of each language is split, where that is not the same for all."""
    languages = teachers_by_language(folder)
    if not languages:
        return ""
    place = f'"{repository}", subfolder="tokenizers/LANG"' if repository else f'"{THIS_FOLDER}/tokenizers/LANG"'
    return (
        f"It reads {', '.join(map(language_name, languages))}. A text is split by its language's own tokenizer, as it "
        f"was in training and for the scores: `AutoTokenizer.from_pretrained({place})` with LANG one of "
        f"{', '.join(languages)}, in the place of the one below."
    )


def _hub_id_of_teacher(origin: Origin) -> str | None:
    """Give the teacher's hub id; None where it is a folder, or is not known."""
    places = origin.config.teachers if origin.config is not None else ()
    for place, name in display_names(places).items():
        if name == origin.record.teacher:
            return place if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", place) and not Path(place).exists() else None
    return None


def _title(record: Record) -> str:
    of = f"student of {words(record.teacher)}" if record.is_student else words(record.teacher)
    return f"{language_name(record.lang)} {TASKS.get(record.task) or words(record.task)}: {of}"


def _summary(head: Head, origin: Origin) -> str:
    record = origin.record
    target, source = language_name(record.lang), language_name(record.source)
    what = "a bilingual student of" if record.is_student else "the fine-tuned"
    if record.assignment is not None:
        what = f"a student of several teachers ({words(record.assignment)}), in {target} of"
    sources = ", ".join(map(language_name, origin.taught_in))
    return (
        f"This model {head.about} in {target} ({record.lang}); it also knows {source} ({record.source}). It is {what} "
        f"{code(record.teacher)}, made with bistil-ray. It learned its task ({code(record.task)}) from labels in "
        f"{sources} only"
        f"{'' if record.lang in origin.taught_in else ': zero-shot in its language'}."
    )


def _shape(config: Mapping[str, Any]) -> str:
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    hidden = config.get("hidden_size", config.get("dim"))
    return f"It has {layers} layers of {hidden} units and a vocabulary of {config['vocab_size']:,} tokens."


def _limits(head: Head, origin: Origin | None) -> str:
    limits = ["It repeats the mistakes and prejudices of its teacher and of the texts it was trained on."]
    if origin is not None:
        record = origin.record
        limits += [
            f"It is meant for {language_name(record.lang)} and {language_name(record.source)}: its vocabulary was cut "
            "to them, and other languages come out as unknown tokens."
            if record.is_student and record.assignment is None
            else "It was scored on one language here.",
            "Its scores were measured on one test set: expect other numbers on other kinds of text.",
        ]
    if head.name == "dependency-parsing":
        limits.append("Each word gets its best head: the heads of a sentence need not make a tree.")
    return "\n".join(f"- {limit}" for limit in limits)
