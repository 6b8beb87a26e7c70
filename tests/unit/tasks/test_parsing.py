"""Parsing: words keep their heads through tokenization and cutting, roots count, and a parser learns and is scored."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bistil_ray.data.batches import pad_batch
from bistil_ray.data.examples import Examples
from bistil_ray.data.masking import IGNORED
from bistil_ray.errors import DataError
from bistil_ray.models.heads import model_inputs, new_model
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.models.parser import ParserOutput
from bistil_ray.tasks.parsing import Parsing
from bistil_ray.tasks.task import score

TASK = Parsing()
LABELS = ("case", "nsubj", "obl", "root")
# "came" is the root; heads are numbers of words, from 1.
AMINA = ("Amina", "came", "from", "Mombasa"), (2, 0, 4, 2), ("nsubj", "root", "case", "obl")
SHORT = ("came",), (0,), ("root",)


def treebank(*sentences: tuple[Any, Any, Any]) -> Examples:
    return Examples(dict(zip(("form", "head", "deprel"), zip(*sentences, strict=True), strict=True)), "en.parquet", {})


@pytest.fixture(params=["bert_folder", "xlmr_folder"])  # their pad ids are 0 and 1
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(folder)


@pytest.fixture
def parser(folder: Path) -> PreTrainedModel:
    return new_model(TASK.head, folder, LABELS, seed=0)


def learn(parser: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: Examples, steps: int) -> None:
    """Minimise the cross-entropy of heads and relations on all sentences at once."""
    batch = pad_batch(TASK.encode(examples, tokenizer, LABELS, 64), tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(parser.parameters(), lr=3e-3)
    for _ in range(steps):
        logits = TASK.logits(parser(**model_inputs(parser, batch)), batch)
        targets = TASK.targets(batch)
        loss = sum(functional.cross_entropy(logits[name], targets[name], ignore_index=IGNORED) for name in targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_each_word_has_its_span_its_head_and_its_relation(tokenizer: PreTrainedTokenizerFast) -> None:
    (features,) = TASK.encode(treebank((("Aminas", *AMINA[0][1:]), *AMINA[1:])), tokenizer, LABELS, 64)
    ids, starts = features["input_ids"], features["word_starts"]
    pieces = [tokenizer.decode(ids[first:end]) for first, end in pairwise(starts)]
    assert [piece.replace(" ", "") for piece in pieces] == ["Aminas", "came", "from", "Mombasa"]
    assert starts[1] - starts[0] > 1 and starts[-1] == len(ids) - 1
    assert features["heads"] == [2, 0, 4, 2] and features["relations"] == [1, 3, 0, 2]


def test_words_without_sub_words_have_no_answer_and_are_nobodys_head(tokenizer: PreTrainedTokenizerFast) -> None:
    sentence = ("Amina", "", "came", "from"), (3, 3, 0, 2), ("nsubj", "case", "root", "case")
    (features,) = TASK.encode(treebank(sentence), tokenizer, LABELS, 64)
    assert features["word_starts"] == [1, 2, 2, 3, 4]
    assert features["heads"] == [3, IGNORED, 0, IGNORED]
    assert features["relations"] == [1, IGNORED, 3, IGNORED]


def test_as_many_starts_of_words_as_tokens_are_not_padded_like_tokens(
    parser: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    sentence = ("Amina", "", "came", "from"), (3, 3, 0, 2), ("nsubj", "case", "root", "case")
    features = TASK.encode(treebank(sentence), tokenizer, LABELS, 64)
    assert len(features[0]["word_starts"]) == len(features[0]["input_ids"])
    batch = pad_batch(features, tokenizer.pad_token_id, length=8)
    logits, targets = TASK.logits(parser(**model_inputs(parser, batch)), batch), TASK.targets(batch)
    assert {name: len(rows) for name, rows in logits.items()} == {name: len(rows) for name, rows in targets.items()}


def test_of_a_sentence_that_is_too_long_the_words_that_fit_are_learned(tokenizer: PreTrainedTokenizerFast) -> None:
    (features,) = TASK.encode(treebank(AMINA), tokenizer, LABELS, 5)
    assert len(features["input_ids"]) == 5 and features["word_starts"] == [1, 2, 3, 4]
    assert features["heads"] == [2, 0, IGNORED] and features["relations"] == [1, 3, IGNORED]


def test_roots_are_learned_and_padding_is_not(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = pad_batch(TASK.encode(treebank(AMINA, SHORT), tokenizer, LABELS, 64), tokenizer.pad_token_id)
    targets = TASK.targets(batch)
    assert targets["arcs"].tolist() == [2, 0, 4, 2, 0, *[IGNORED] * 3]
    assert targets["relations"].tolist() == [1, 3, 0, 2, 3, *[IGNORED] * 3]


def test_the_logits_are_those_of_the_right_heads_in_the_order_of_the_targets() -> None:
    arcs = torch.randn(2, 3, 4)
    relations = torch.randn(2, 3, 4, 5)
    heads = torch.tensor([[2, 0, 1], [0, IGNORED, IGNORED]])
    logits = TASK.logits(ParserOutput(arc_logits=arcs, relation_logits=relations), {"heads": heads})
    assert torch.equal(logits["arcs"], arcs.reshape(6, 4))
    right = [relations[0, 0, 2], relations[0, 1, 0], relations[0, 2, 1], relations[1, 0, 0]]
    assert torch.equal(logits["relations"][:4], torch.stack(right))
    assert len(logits["relations"]) == 6


@torch.no_grad()
def test_of_plain_text_each_inner_token_is_a_word_as_for_the_parser_itself(
    parser: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts: list[list[int]] = tokenizer(["Amina came from Mombasa", "came", ""])["input_ids"]
    asked = [{"input_ids": ids, **TASK.asked_about_text(len(ids))} for ids in texts]
    batch = pad_batch(asked, tokenizer.pad_token_id, length=16)
    output = parser(**model_inputs(parser, batch))
    logits, targets = TASK.logits(output, batch), TASK.targets(batch)
    words = sum(len(ids) - 2 for ids in texts)
    assert all((targets[name] != IGNORED).sum() == words and len(logits[name]) == len(targets[name]) for name in logits)
    alone = parser(input_ids=torch.tensor(texts[:1]))
    shape = alone.arc_logits[0].shape
    assert torch.allclose(output.arc_logits[0, : shape[0], : shape[1]], alone.arc_logits[0], atol=1e-5)


def test_sub_types_are_cut_off_and_relations_mapped() -> None:
    examples = treebank((("a", "b", "c"), (0, 1, 1), ("root", "nmod:poss", "flat:name")))
    assert TASK.labels(examples, {"flat": "nmod"}) == ("nmod", "root")
    relabelled = TASK.relabel(examples, {"flat": "nmod"}, ("nmod", "root"))
    assert relabelled.columns["deprel"] == (("root", "nmod", "nmod"),)
    with pytest.raises(DataError, match=r"'flat'.*label_map\.flat=nmod"):
        TASK.relabel(examples, {}, ("nmod", "root"))
    with pytest.raises(DataError, match=r"label_map\.flat=dep"):
        TASK.relabel(examples, {}, ("a", "dep", "nmod", "root"))


@pytest.mark.parametrize(
    ("heads", "relations", "message"),
    [
        ((0,), ("root", "obj"), "2 form but 1 head and 2 deprel"),
        ((0, 3), ("root", "obj"), "head 3 for word 2; allowed: 0 for the root.* 1 to 2"),
        ((-1, 1), ("root", "obj"), "head -1 for word 1"),
        ((0, 2), ("root", "obj"), "head 2 for word 2"),
        ((0, 1), ("root", ":x"), "relation ':x'"),
    ],
)
def test_rows_that_make_no_sense_are_refused(heads: Any, relations: Any, message: str) -> None:
    TASK.check(treebank(AMINA, SHORT))
    with pytest.raises(DataError, match=f"en.parquet, row 1, .*{message}.*--task-data"):
        TASK.check(treebank(AMINA, (("a", "b"), heads, relations)))


def test_a_parser_learns_a_toy_treebank_roots_and_all(
    parser: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = treebank(
        AMINA, SHORT, (("farmer", "sings"), (2, 0), ("nsubj", "root")), (("in", "Nairobi"), (2, 0), ("case", "root"))
    )
    before = score(TASK, parser, tokenizer, examples, LABELS, 64)
    learn(parser, tokenizer, examples, steps=30)
    after = score(TASK, parser, tokenizer, examples, LABELS, 64)
    assert before.score < 0.5 and after.score == 1.0
    assert after.details == {"uas": 1.0, "uas_rootless": 1.0, "las_rootless": 1.0}
    assert TASK.predict(parser, tokenizer, examples, LABELS, 64)[0] == list(zip(*AMINA[1:], strict=True))


def test_words_that_were_not_seen_count_as_wrong(parser: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    learn(parser, tokenizer, treebank(AMINA), steps=30)
    (predicted,) = TASK.predict(parser, tokenizer, treebank(AMINA), LABELS, 5)
    assert predicted[3] is None and None not in predicted[:3]
    assert score(TASK, parser, tokenizer, treebank(AMINA), LABELS, 64).score == 1.0
    assert score(TASK, parser, tokenizer, treebank(AMINA), LABELS, 5).score <= 0.75
