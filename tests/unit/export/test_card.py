"""A card says what was recorded and nothing else, in the form the hub reads, and its program runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from huggingface_hub import ModelCard

from bistil_ray.config import RecipeName, RunConfig
from bistil_ray.export.card import model_card
from bistil_ray.export.description import METHODS, TASKS
from bistil_ray.export.heads import HEADS, PARSER, TAGGER, Head
from bistil_ray.export.origin import Origin
from bistil_ray.export.usage import TEXT, THIS_FOLDER, program
from bistil_ray.results.records import Record

Records = Sequence[Record]


def config(**settings: Any) -> RunConfig:
    values = {"langs": ["sw"], "teachers": ["Davlan/afro-xlmr"], "corpora": "hf://datasets/x/text", "task_data": "ner/"}
    return RunConfig.model_validate(values | settings)


@pytest.fixture
def folder(headed: Callable[[Head], Path]) -> Path:
    return headed(TAGGER)


def test_scores_stand_beside_those_of_teacher_and_baselines_as_they_are(folder: Path, records: Records) -> None:
    text = model_card(folder, Origin(records[1], records, config()))
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert ["this model" in rows[1], "teacher afro-xlmr" in rows[2], "scratch" in rows[3]] == [True] * 3
    assert [next(score for score in ("0.612", "0.701", "0.111") if score in row) for row in rows[1:4]] == [
        "0.612",
        "0.701",
        "0.111",
    ]
    assert "0.655" not in text, "the recipe's own other density has the better test score and yet was not chosen"


def test_it_says_how_the_model_was_chosen(folder: Path, records: Records) -> None:
    def said(place: int, others: Records = records) -> str:
        return model_card(folder, Origin(others[place], others, config()))

    assert "chosen of the run's 3 students of this language by the score on the English validation set" in said(1)
    assert "among recipes" not in said(1), "agreement was not measured"
    agreeing = [record.model_copy(update={"agreement": 0.5 if record.is_student else None}) for record in records]
    assert "among recipes by how far it agrees with its teacher" in said(1, agreeing)
    assert "not the one the run chose" in said(2)
    assert "undistilled teacher that students were compared with" in said(0)
    blind = [record.model_copy(update={"validation_score": None}) for record in records]
    assert "no English validation set to choose by" in said(3, blind), "of equals a step's name decides"
    assert "nothing was chosen" in said(1, records[:2])


def test_labels_of_the_target_are_owned_up_to(folder: Path, records: Records) -> None:
    zero_shot = model_card(folder, Origin(records[1], records, config()))
    assert "No Swahili labels were used" in zero_shot and "zero-shot" in zero_shot
    taught = model_card(folder, Origin(records[1], records, config(task_sources=["en", "sw"])))
    assert "Swahili labels were learned from, too" in taught and "zero-shot" not in taught
    own = [record.model_copy(update={"validation_lang": "sw", "agreement": 0.5}) for record in records]
    said = model_card(folder, Origin(own[1], own, config(task_sources=["en", "sw"])))
    assert "sw validation |" in said and "by the score on the Swahili validation set." in said


def test_text_that_phase_2_saw_is_said_whether_the_recipe_or_the_run_asked_for_it(
    folder: Path, record: Callable[..., Record]
) -> None:
    def card(recipe: str, share: float) -> str:
        student = record("finetune-1", recipe=recipe)
        return model_card(folder, Origin(student, [student], config(finetune={"text_share": share})))

    said = "of the batches plain text of the target language"
    assert f"50% {said}" in card("bistil+", 0.0) and f"25% {said}" in card("bistil", 0.25)
    assert said not in card("bistil", 0.0) and said not in card("nodistil", 0.25)


def test_averaged_weights_are_said_to_be(folder: Path, record: Callable[..., Record]) -> None:
    def card(average: float) -> str:
        student = record("finetune-1")
        return model_card(folder, Origin(student, [student], config(finetune={"average": average})))

    assert "weights averaged over the last 75% of its steps" in card(0.75) and "averaged" not in card(0.0)


def test_data_and_licences_are_those_given_or_unknown(folder: Path, records: Records) -> None:
    origin = Origin(records[1], records, config(label_map={"DATE": "O"}))
    text = model_card(folder, origin, licence="cc-by-4.0")
    assert "hf://datasets/x/text" in text and "`ner/`" in text and "DATE to O" in text
    assert "unknown here" in text and "Licence of the model itself: cc-by-4.0" in text
    assert "is gone" in model_card(folder, Origin(records[1], records))


@pytest.mark.parametrize(
    ("teachers", "base"),
    [
        (["Davlan/afro-xlmr"], "Davlan/afro-xlmr"),
        (["Davlan/little-afro-xlmr", "Davlan/afro-xlmr"], "Davlan/afro-xlmr"),
        (["models/x/afro-xlmr"], None),
    ],
)
def test_the_hub_understands_its_head(folder: Path, records: Records, teachers: list[str], base: str | None) -> None:
    data = ModelCard(model_card(folder, Origin(records[1], records, config(teachers=teachers)))).data
    assert (data.language, data.license, data.library_name) == (["sw", "en"], "unknown", "transformers")
    assert data.pipeline_tag == "token-classification" and data.base_model == base


def test_a_model_of_unknown_origin_has_a_card_that_says_so(headed: Callable[[Head], Path], head: Head) -> None:
    text = model_card(headed(head), None)
    assert "is not known here" in text and head.about in text
    assert ModelCard(text).data.pipeline_tag == head.pipeline


def test_every_recipe_and_task_has_words() -> None:
    assert METHODS.keys() == set(get_args(RecipeName))
    assert TASKS.keys() == set(get_args(RunConfig.model_fields["task"].annotation))


def test_its_program_runs(headed: Callable[[Head], Path], head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    text = model_card(headed(head), None)
    code = text.split("```python\n")[1].split("```")[0]
    assert code.count(THIS_FOLDER) >= 1
    exec(code.replace(THIS_FOLDER, str(headed(head))), {})
    assert capsys.readouterr().out


def test_a_model_on_the_hub_is_loaded_from_there() -> None:
    for head in HEADS:
        assert 'snapshot_download("me/mine")' in program(head, "me/mine", "model.onnx")
        assert '"me/mine"' in program(head, "me/mine") and THIS_FOLDER not in program(head, "me/mine")
    assert "import bistil_ray.models.parser" in program(PARSER)


@pytest.mark.parametrize("onnx_file", [None, "model.onnx"])
def test_words_of_a_sentence_are_split_as_they_were_in_training(onnx_file: str | None) -> None:
    spaced, plain = (program(PARSER, None, onnx_file, spaced_words=spaced) for spaced in (True, False))
    assert 'tokenizer([" " + word for word in words], is_split_into_words=True' in spaced
    assert "tokenizer(words, is_split_into_words=True" in plain
    spaced, plain = (program(TAGGER, None, onnx_file, spaced_words=spaced) for spaced in (True, False))
    assert f'" {TEXT}"' in spaced and f'"{TEXT}"' in plain


def test_what_was_left_out_is_not_said_to_have_been_done(folder: Path, record: Callable[..., Record]) -> None:
    def card(density: float, steps: int) -> str:
        student = record("finetune-1", recipe="bistil+", density=density)
        return model_card(folder, Origin(student, [student], config(distil={"steps": steps})))

    paper, alone = card(0.08, 1000), card(1.0, 0)
    assert "learned the teacher's hidden states and attention maps on plain text" in paper
    assert "sparsely fine-tuned (LT-SFT)" in paper and "epochs to choose the parameters" in paper
    assert "Phase 1 was left out" in alone and "phase 1: left out" in alone
    assert "plain text of both languages" not in alone
    assert "LT-SFT" not in alone and "epochs, all parameters" in alone


def test_trainings_that_there_were_not_are_not_listed(folder: Path, record: Callable[..., Record]) -> None:
    def card(recipe: str, **settings: Any) -> str:
        student = record("finetune-1", recipe=recipe, density=0.08)
        return model_card(folder, Origin(student, [student], config(**settings)))

    assert "task teacher: 3 epochs" in card("bistil") and "task teacher" not in card("scratch")
    assert "- task teacher: given" in card("bistil", task_teacher="tuned")
    merged = card("mergedistill", merge={"steps": 777})
    assert "- on text: 777 steps" in merged and "task teacher" not in merged and "phase 1" not in merged
