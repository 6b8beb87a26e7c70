"""Tags are predicted for the right words whatever the batching, and scored by the rules of CoNLL."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from seqeval.metrics import f1_score
from transformers import AutoModelForTokenClassification, PreTrainedModel, PreTrainedTokenizerFast

from bistil_ray.data.tasks import TaggedSentences
from bistil_ray.evaluate.tagging import predict_tags, span_f1, tagging_scores
from bistil_ray.models.families import load_tokenizer

LABELS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def tagger(request: pytest.FixtureRequest) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    folder = request.getfixturevalue(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(LABELS), dtype=torch.float32)
    with torch.no_grad():  # without what all words have in common, words get different labels
        model.eval().classifier.bias -= model(input_ids=torch.arange(5, 105)[None]).logits.mean((0, 1))
    return model, load_tokenizer(folder)


def as_sentences(texts: list[str]) -> TaggedSentences:
    words = tuple(tuple(text.split()) for text in texts)
    return TaggedSentences(words, tuple(("O",) * len(row) for row in words), "", {})


def test_each_word_gets_the_best_label_of_its_first_sub_word(
    tagger: tuple[PreTrainedModel, PreTrainedTokenizerFast], toy_texts: dict[str, list[str]]
) -> None:
    model, tokenizer = tagger
    data = as_sentences(toy_texts["sw"] + ["Amina"] + toy_texts["en"])
    predicted = predict_tags(model, tokenizer, data, LABELS, batch_size=3)
    for words, tags in zip(data.words, predicted, strict=True):
        encoded = tokenizer([list(words)], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model(input_ids=encoded["input_ids"]).logits[0].argmax(-1).tolist()
        places = encoded.word_ids(0)
        assert tags == [LABELS[best[places.index(word)]] for word in range(len(words))]
    assert len({tag for tags in predicted for tag in tags}) > 1


def test_batching_changes_nothing(
    tagger: tuple[PreTrainedModel, PreTrainedTokenizerFast], toy_texts: dict[str, list[str]]
) -> None:
    data = as_sentences([*toy_texts["sw"], "Amina", *toy_texts["en"]])
    assert predict_tags(*tagger, data, LABELS, batch_size=1) == predict_tags(*tagger, data, LABELS, batch_size=50)


def test_words_that_are_cut_off_are_outside_of_spans(
    tagger: tuple[PreTrainedModel, PreTrainedTokenizerFast], toy_texts: dict[str, list[str]]
) -> None:
    data = as_sentences([" ".join(toy_texts["en"])])
    whole = predict_tags(*tagger, data, ["LABEL"] * 5, max_length=128)
    cut = predict_tags(*tagger, data, ["LABEL"] * 5, max_length=12)
    assert len(cut[0]) == len(whole[0]) and cut[0].count("LABEL") <= 10
    assert cut[0] == ["LABEL"] * cut[0].count("LABEL") + ["O"] * cut[0].count("O")


def test_the_model_is_left_in_its_mode(tagger: tuple[PreTrainedModel, PreTrainedTokenizerFast]) -> None:
    model, tokenizer = tagger
    model.train()
    data = as_sentences(["Amina came from Mombasa"])
    first = predict_tags(model, tokenizer, data, LABELS)
    assert model.training and first == predict_tags(model, tokenizer, data, LABELS)


def test_a_span_counts_with_exact_borders_and_type() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "O", "O"]]
    scores = tagging_scores(gold, predicted)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores.by_type == {
        "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2},
        "PER": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    }


def test_a_span_may_begin_inside_and_neighbours_stay_apart() -> None:
    assert span_f1([["O", "I-PER", "I-PER"]], [["O", "B-PER", "I-PER"]]) == 1.0
    assert span_f1([["B-PER", "B-PER"]], [["B-PER", "I-PER"]]) == 0.0
    assert span_f1([["I-PER", "I-LOC"]], [["B-PER", "B-LOC"]]) == 1.0


def test_the_score_is_that_of_seqeval() -> None:
    generator = torch.Generator().manual_seed(0)
    gold, predicted = (
        [[LABELS[i] for i in row] for row in torch.randint(5, (60, 9), generator=generator)] for _ in range(2)
    )
    assert 0 < span_f1(gold, predicted) == pytest.approx(f1_score(gold, predicted))


@pytest.mark.filterwarnings("error")
def test_nothing_found_and_nothing_to_find_score_zero() -> None:
    assert span_f1([["B-PER", "O"]], [["O", "O"]]) == 0.0
    assert span_f1([["O", "O"]], [["B-PER", "O"]]) == 0.0
    assert tagging_scores([["O"]], [["O"]]).by_type == {} and span_f1([["O"]], [["O"]]) == 0.0


def test_scores_can_be_written_down() -> None:
    scores = asdict(tagging_scores([["B-PER"]], [["B-PER"]]))
    assert json.loads(json.dumps(scores)) == scores


def test_spans_do_not_reach_across_sentences() -> None:
    assert span_f1([["B-PER"], ["I-PER"]], [["B-PER"], ["B-PER"]]) == 1.0
