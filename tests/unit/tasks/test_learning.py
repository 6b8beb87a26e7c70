"""Every family of tasks is learnt by every family of encoders, and padding changes nothing about it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from bistil_ray.data.batches import length_of, pad_batch
from bistil_ray.data.examples import Examples
from bistil_ray.data.masking import IGNORED
from bistil_ray.models.heads import model_inputs, new_model
from bistil_ray.tasks.answering import Answering
from bistil_ray.tasks.classification import Classification
from bistil_ray.tasks.tagging import Tagging
from bistil_ray.tasks.task import Task, score
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.phase import Phase

CONTEXTS = ["Mwalimu aliandika barua kwa benki ya Nairobi", "Amina alitoka Mombasa na kaka yake kuuza samaki sokoni"]
WORDS = [("Amina", "alitoka", "Mombasa"), ("mtu", "alitoka", "Nairobi", "na", "Amina"), ("kaka",)]
TOYS: list[tuple[Task, dict[str, tuple[object, ...]]]] = [
    (
        Tagging("ner", "ner_tags", spans=True),
        {
            "tokens": tuple(WORDS),
            "ner_tags": (("B-PER", "O", "B-LOC"), ("O", "O", "B-LOC", "O", "B-PER"), ("O",)),
        },
    ),
    (
        Tagging("pos", "upos", spans=False),
        {
            "tokens": tuple(WORDS),
            "upos": (("PROPN", "VERB", "PROPN"), ("NOUN", "VERB", "PROPN", "CONJ", "PROPN"), ("NOUN",)),
        },
    ),
    (
        Classification("nli", ("premise", "hypothesis"), "accuracy"),
        {
            "premise": ("mtu hula wali", "mtu hula wali", "mtu hula wali", "mama hula samaki na wali mpya"),
            "hypothesis": ("hula", "samaki", "mto unafurika wakati wa mvua", "samaki"),
            "label": ("entailment", "contradiction", "neutral", "entailment"),
        },
    ),
    (
        Classification("sentiment", ("text",), "macro_f1"),
        {"text": ("mama hupika", "mto unafurika wakati wa mvua", "daraja la zamani"), "label": ("good", "bad", "fine")},
    ),
    (
        Answering(),
        {
            "context": (*CONTEXTS, CONTEXTS[1]),
            "question": ("nani", "wapi", "kazi"),
            "answers": (
                (("Mwalimu",), (0,)),
                (("Mombasa",), (14,)),
                (("kuuza samaki",), (CONTEXTS[1].index("kuuza"),)),
            ),
        },
    ),
]

toys = pytest.mark.parametrize(("task", "columns"), TOYS, ids=[task.name for task, _ in TOYS])


def toy(
    task: Task, columns: dict[str, tuple[object, ...]], folder: Path
) -> tuple[Examples, tuple[str, ...], LabelLearning]:
    data = Examples(columns, "toy.parquet", {})
    task.check(data)
    labels = task.labels(data, {})
    return data, labels, LabelLearning(new_model(task.head, folder, labels, seed=1), task)


@toys
def test_a_toy_set_is_learnt_in_a_few_steps(
    task: Task, columns: dict[str, tuple[object, ...]], family_folder: Path, family_tokenizer: PreTrainedTokenizerFast
) -> None:
    data, labels, objective = toy(task, columns, family_folder)
    features = task.encode(data, family_tokenizer, labels, 64)
    batch = pad_batch(features, family_tokenizer.pad_token_id)
    before = score(task, objective.model, family_tokenizer, data, labels, 64).score
    run_phase(objective, Phase(steps=30, lr=3e-3, precision="fp32"), lambda step: iter([[batch]] * 30))
    assert before < score(task, objective.model, family_tokenizer, data, labels, 64).score == 1.0


@toys
def test_padding_and_the_cut_into_batches_change_nothing(
    task: Task, columns: dict[str, tuple[object, ...]], family_folder: Path, family_tokenizer: PreTrainedTokenizerFast
) -> None:
    data, labels, objective = toy(task, columns, family_folder)
    objective.model.eval()
    features = task.encode(data, family_tokenizer, labels, 30)
    pad = family_tokenizer.pad_token_id
    together, singles = pad_batch(features, pad), [pad_batch([row], pad) for row in features]
    assert len({length_of(row) for row in features}) > 1
    counts = objective.counts(together)
    assert counts == {name: sum(objective.counts(batch)[name] for batch in singles) for name in counts}
    parts = [objective.losses(batch, counts) for batch in singles]
    for name, loss in objective.losses(together, counts).items():
        torch.testing.assert_close(loss, torch.stack([part[name] for part in parts]).sum(), atol=1e-5, rtol=1e-5)


@toys
def test_each_decision_has_its_row_of_logits(
    task: Task, columns: dict[str, tuple[object, ...]], family_folder: Path, family_tokenizer: PreTrainedTokenizerFast
) -> None:
    data, labels, objective = toy(task, columns, family_folder)
    batch = pad_batch(task.encode(data, family_tokenizer, labels, 64), family_tokenizer.pad_token_id)
    targets = task.targets(batch)
    with torch.no_grad():
        logits = task.logits(objective.model(**model_inputs(objective.model, batch), return_dict=True), batch)
    assert targets.keys() == logits.keys()
    for name, target in targets.items():
        rows, choices = logits[name].shape
        assert target.shape == (rows,) and target.dtype == torch.int64
        answered = target[target != IGNORED]
        assert len(answered) and answered.min() >= 0 and answered.max() < choices
