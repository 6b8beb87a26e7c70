"""Classification of texts and pairs: both reach the model, each label its own output."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from bistil_ray.data.examples import Examples, read_examples, task_files
from bistil_ray.errors import DataError
from bistil_ray.tasks.classification import Classification
from bistil_ray.tasks.task import score

NLI = Classification("nli", texts=("premise", "hypothesis"), metric="accuracy")
SENTIMENT = Classification("sentiment", texts=("text",), metric="macro_f1")
LABELS = ("bad", "fine", "good")


def pairs(*rows: tuple[str, str, str]) -> Examples:
    return Examples(
        dict(zip(("premise", "hypothesis", "label"), zip(*rows, strict=True), strict=True)), "x.parquet", {}
    )


def texts(*rows: tuple[str, str]) -> Examples:
    return Examples(dict(zip(("text", "label"), zip(*rows, strict=True), strict=True)), "x.parquet", {})


def test_columns_hold_strings() -> None:
    assert NLI.columns == {"premise": "text", "hypothesis": "text", "label": "text"}
    assert SENTIMENT.columns == {"text": "text", "label": "text"}


def test_a_text_is_encoded_as_the_tokenizer_does(family_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = texts(("Mama hupika wali", "good"), ("mto", "bad"))
    features = SENTIMENT.encode(rows, family_tokenizer, LABELS, 30)
    assert [row["input_ids"] for row in features] == family_tokenizer(list(rows.columns["text"]))["input_ids"]
    assert [row["label"] for row in features] == [2, 0]


def test_a_pair_is_encoded_as_a_pair(family_tokenizer: PreTrainedTokenizerFast) -> None:
    (features,) = NLI.encode(pairs(("Mama hupika", "wali mpya", "fine")), family_tokenizer, LABELS, 30)
    expected = family_tokenizer("Mama hupika", "wali mpya", return_token_type_ids=True)
    assert features == {
        "input_ids": expected["input_ids"],
        "token_type_ids": expected["token_type_ids"],
        "label": 1,
    }
    assert features["input_ids"].count(family_tokenizer.sep_token_id) >= 2


def test_only_the_longer_text_of_a_pair_is_cut(family_tokenizer: PreTrainedTokenizerFast) -> None:
    row = pairs(("mto " * 50, "wali mpya", "fine"), ("wali mpya", "mto " * 50, "fine"))
    for features in NLI.encode(row, family_tokenizer, LABELS, 20):
        assert len(features["input_ids"]) == len(features["token_type_ids"]) == 20
        assert "wali mpya" in family_tokenizer.decode(features["input_ids"])


def test_the_tokenizer_does_not_stay_set_to_cutting(family_tokenizer: PreTrainedTokenizerFast) -> None:
    SENTIMENT.encode(texts(("mto " * 50, "good")), family_tokenizer, LABELS, 8)
    assert family_tokenizer.backend_tokenizer.truncation is None


def test_labels_are_found_in_order_and_renamed() -> None:
    data = texts(("a", "good"), ("b", "awful"), ("c", "bad"), ("d", "good"))
    assert SENTIMENT.labels(data, {}) == ("awful", "bad", "good")
    assert SENTIMENT.labels(data, {"awful": "bad"}) == ("bad", "good")
    mapped = SENTIMENT.relabel(data, {"awful": "bad"}, LABELS)
    assert mapped.columns == {"text": ("a", "b", "c", "d"), "label": ("good", "bad", "bad", "good")}
    with pytest.raises(DataError, match="has the label 'awful', .*--set label_map.awful=bad "):
        SENTIMENT.relabel(data, {}, LABELS)


def test_the_metric_is_the_score_and_both_are_told(tokenizer: PreTrainedTokenizerFast, oracle: type) -> None:
    rows = texts(("wa", "good"), ("kọ", "good"), ("ọmọ", "good"), ("ina", "bad"))
    said = dict(zip(("wa", "kọ", "ọmọ", "ina"), (2, 2, 0, 0), strict=True))
    features = SENTIMENT.encode(rows, tokenizer, LABELS, 9)
    model = oracle(features, lambda row: {"logits": torch.eye(3)[said[tokenizer.decode(row["input_ids"][1:-1])]]})
    scores = score(SENTIMENT, model, tokenizer, rows, LABELS, 9)
    assert scores.score == scores.details["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores.details["accuracy"] == 0.75 and scores.details["by_label"]["bad"]["precision"] == 0.5
    topic = score(Classification("topic", texts=("text",), metric="accuracy"), model, tokenizer, rows, LABELS, 9)
    assert topic.score == 0.75 and topic.details == scores.details


def test_a_perfect_model_scores_one_in_any_order(family_tokenizer: PreTrainedTokenizerFast, oracle: type) -> None:
    words = "mto daraja mama yangu wali shule mpya kazi".split()
    rows = pairs(*((words[n % 8], " ".join(words[: n % 7]), LABELS[n % 3]) for n in range(40)))
    features = NLI.encode(rows, family_tokenizer, LABELS, 20)
    model = oracle(features, lambda row: {"logits": torch.eye(3)[row["label"]]})
    assert NLI.predict(model, family_tokenizer, rows, LABELS, 20) == list(rows.columns["label"])
    assert score(NLI, model, family_tokenizer, rows, LABELS, 20).score == 1.0


@pytest.mark.parametrize("task", [NLI, Classification("topic", ("text",), "accuracy"), SENTIMENT], ids=lambda t: t.name)
def test_real_files_are_read_whole_with_the_same_labels_in_every_language(task: Classification, shared: Path) -> None:
    place = str(shared / "data" / task.name)
    found = {lang: read_examples(task_files(place, lang, "test")["test"], task.columns) for lang in ("sw", "yo", "ha")}
    assert not any(data.skipped for data in found.values())
    assert len({task.labels(data, {}) for data in found.values()}) == 1
