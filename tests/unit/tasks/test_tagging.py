"""Tagging: labels stand on first sub-words, predictions reach the right words whatever the batching."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bistil_ray.data.examples import Examples, read_examples, task_files
from bistil_ray.data.masking import IGNORED
from bistil_ray.errors import DataError
from bistil_ray.evaluate import predict
from bistil_ray.models.heads import new_model
from bistil_ray.tasks.tagging import Tagging

NER = Tagging("ner", tags="ner_tags", spans=True)
POS = Tagging("pos", tags="upos", spans=False)
LABELS = ("B-PER", "I-PER", "O")
Tagger = tuple[PreTrainedModel, PreTrainedTokenizerFast]


def sentences(*pairs: tuple[str, str], task: Tagging = NER) -> Examples:
    words, tags = (tuple(tuple(pair[side].split()) for pair in pairs) for side in (0, 1))
    return Examples({"tokens": words, task.tags: tags}, "train.parquet", {})


def untagged(texts: list[str]) -> Examples:
    return sentences(*((text, "O " * len(text.split())) for text in texts))


@pytest.fixture
def tagger(family_folder: Path, family_tokenizer: PreTrainedTokenizerFast) -> Tagger:
    model = new_model(NER.head, family_folder, "abcde", seed=0)
    with torch.no_grad():  # without what all words have in common, words get different labels
        model.eval().classifier.bias -= model(input_ids=torch.arange(5, 105)[None]).logits.mean((0, 1))
    return model, family_tokenizer


def test_named_entities_and_parts_of_speech_are_scored_differently() -> None:
    assert NER.metric == "f1" and NER.columns == {"tokens": "texts", "ner_tags": "texts"}
    assert POS.metric == "accuracy" and POS.columns == {"tokens": "texts", "upos": "texts"}


@pytest.mark.parametrize(
    ("words", "tags", "said"),
    [
        ("a b", "O", "has 2 tokens but 1 ner_tags"),
        ("a", "PER", "has the tag 'PER', which is not IOB2"),
        ("a", "B-", "not IOB2"),
        ("a", "E-PER", "not IOB2"),
        ("a", "B", "not IOB2"),
    ],
)
def test_rows_that_make_no_sense_are_refused(words: str, tags: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        NER.check(sentences(("a", "O"), (words, tags)))
    message = str(caught.value)
    assert message.startswith("train.parquet, row 1,") and said in message and "\n" not in message


def test_an_empty_tag_is_no_tag() -> None:
    with pytest.raises(DataError, match="not IOB2"):
        NER.check(Examples({"tokens": (("a",),), "ner_tags": (("",),)}, "train.parquet", {}))


def test_any_words_are_parts_of_speech_but_one_for_each_word() -> None:
    POS.check(sentences(("a b", "NOUN B"), task=POS))
    with pytest.raises(DataError, match="row 0, has 1 tokens but 2 upos"):
        POS.check(sentences(("a", "NOUN B"), task=POS))


def test_labels_are_found_and_renamed_with_the_words_as_they_were() -> None:
    data = sentences(("a b c d e", "B-DATE I-DATE B-PER I-PER O"))
    assert NER.labels(data, {}) == ("B-DATE", "B-PER", "I-DATE", "I-PER", "O")
    mapped = NER.relabel(data, {"DATE": "O", "I-PER": "B-PER"}, LABELS)
    assert mapped.columns == {"tokens": data.columns["tokens"], "ner_tags": (("O", "O", "B-PER", "B-PER", "O"),)}
    assert data.columns["ner_tags"][0][0] == "B-DATE"


def test_spans_of_other_data_may_be_longer_than_those_of_the_source(tokenizer: PreTrainedTokenizerFast) -> None:
    """Their later words count when they are scored, and are no examples of anything to learn."""
    longer, labels = sentences(("the river the", "B-PER I-PER O")), ("B-PER", "O")
    kept = NER.relabel(longer, {}, labels)
    assert kept.columns == longer.columns
    (features,) = NER.encode(kept, tokenizer, labels, 20)
    assert [label for label in features["labels"] if label != IGNORED] == [0, 1]
    assert NER.compare(kept, [["B-PER", "B-PER", "O"]]).score == 0.0


def test_a_map_that_leaves_no_spans_is_refused() -> None:
    with pytest.raises(DataError, match="label_map makes a tag 'TIME', which is not IOB2"):
        NER.labels(sentences(("a b", "B-DATE I-DATE")), {"B-DATE": "TIME", "I-DATE": "TIME"})


@pytest.mark.parametrize(
    ("task", "tags", "said"), [(NER, "O B-DATE", "label_map.DATE=O"), (POS, "ADJ INTJ", "label_map.INTJ=ADJ")]
)
def test_a_label_unknown_to_the_source_can_be_mapped_as_the_error_says(task: Tagging, tags: str, said: str) -> None:
    with pytest.raises(DataError, match=f"--set {said} "):
        task.relabel(sentences(("a b", tags), task=task), {}, ("O",) if task is NER else ("ADJ", "NOUN"))


def test_labels_stand_on_first_sub_words(tokenizer: PreTrainedTokenizerFast) -> None:
    (features,) = NER.encode(sentences(("inawaƙa ọmọde kọ.", "B-PER O I-PER")), tokenizer, LABELS, 20)
    assert tokenizer.convert_ids_to_tokens(features["input_ids"]) == (
        ["[CLS]", "ina", "##waƙa", "ọmọ", "##de", "kọ", ".", "[SEP]"]
    )
    assert features["labels"] == [IGNORED, 0, IGNORED, 2, IGNORED, 1, IGNORED, IGNORED]


def test_words_without_sub_words_are_lost_without_harm(tokenizer: PreTrainedTokenizerFast) -> None:
    words = (("", "wa", "\u200b", "kọ"), ("", ""))
    data = Examples({"tokens": words, "ner_tags": (("B-PER", "I-PER", "O", "O"), ("O", "O"))}, "", {})
    features = NER.encode(data, tokenizer, LABELS, 20)
    assert [row["labels"] for row in features] == [[IGNORED, 1, 2, IGNORED], [IGNORED, IGNORED]]


def test_words_beyond_the_maximal_length_are_lost(tokenizer: PreTrainedTokenizerFast) -> None:
    features = NER.encode(sentences(("wa " * 9, "O " * 9), ("wa", "O")), tokenizer, LABELS, 6)
    assert [len(row["input_ids"]) for row in features] == [6, 3]
    assert features[0]["labels"] == [IGNORED, 2, 2, 2, 2, IGNORED]


def test_each_word_gets_the_best_label_of_its_first_sub_word(tagger: Tagger, toy_texts: dict[str, list[str]]) -> None:
    model, tokenizer = tagger
    data = untagged(toy_texts["sw"] + ["Amina"] + toy_texts["en"])
    predicted = NER.predict(model, tokenizer, data, "abcde", 128)
    for words, tags in zip(data.columns["tokens"], predicted, strict=True):
        encoded = tokenizer([list(words)], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model.eval()(input_ids=encoded["input_ids"]).logits[0].argmax(-1).tolist()
        places = encoded.word_ids(0)
        assert tags == ["abcde"[best[places.index(word)]] for word in range(len(words))]
    assert len({tag for tags in predicted for tag in tags}) > 1


def test_batching_changes_nothing(tagger: Tagger, toy_texts: dict[str, list[str]]) -> None:
    model, tokenizer = tagger
    features = NER.encode(untagged([*toy_texts["sw"], "Amina", *toy_texts["en"]]), tokenizer, ["O"], 128)
    single, together = (
        dict(predict.predictions(model, features, tokenizer.pad_token_id, batch_size)) for batch_size in (1, 50)
    )
    for number, row in enumerate(features):
        length = len(row["input_ids"])
        torch.testing.assert_close(together[number]["logits"][:length], single[number]["logits"], atol=1e-5, rtol=0)


def test_words_that_are_cut_off_are_outside_of_spans(tagger: Tagger, toy_texts: dict[str, list[str]]) -> None:
    data = untagged([" ".join(toy_texts["en"])])
    whole, cut = (NER.predict(*tagger, data, ["LABEL"] * 5, max_length) for max_length in (128, 12))
    assert len(cut[0]) == len(whole[0]) and 0 < cut[0].count("LABEL") <= 10
    assert cut[0] == ["LABEL"] * cut[0].count("LABEL") + ["O"] * cut[0].count("O")


def test_the_model_is_left_in_its_mode_and_used_without_dropout(tagger: Tagger) -> None:
    model, tokenizer = tagger
    model.train()
    data = untagged(["Amina came from Mombasa"])
    first = NER.predict(model, tokenizer, data, "abcde", 128)
    assert model.training and first == NER.predict(model, tokenizer, data, "abcde", 128)


def test_spans_are_scored_as_spans_and_parts_of_speech_as_words() -> None:
    predicted = [["B-PER", "O"], ["B-LOC", "I-LOC"]]
    gold = [("Amina sings", "B-PER O"), ("old Mombasa", "B-LOC O")]
    spans, words = (task.compare(sentences(*gold, task=task), predicted) for task in (NER, POS))
    assert spans.score == 0.5 and spans.details["recall"] == 0.5 and spans.details["by_type"].keys() == {"LOC", "PER"}
    assert words.score == 0.75 and words.details["by_label"]["O"]["support"] == 2 and 0 < words.details["macro_f1"] < 1


def test_real_named_entities_fit_the_labels_of_english(shared: Path) -> None:
    place = str(shared / "data" / "ner")
    english = read_examples(task_files(place, "en", "validation")["validation"], NER.columns)
    labels = NER.labels(english, {})
    assert labels == ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    for lang in ("sw", "yo", "ha"):
        data = read_examples(task_files(place, lang, "test")["test"], NER.columns)
        NER.check(data)
        assert not data.skipped and "B-DATE" in NER.labels(data, {})
        assert set(NER.labels(NER.relabel(data, {"DATE": "O"}, labels), {})) == set(labels)


def test_real_parts_of_speech_fit_the_labels_of_english(shared: Path) -> None:
    place = str(shared / "data" / "pos")
    labels = POS.labels(read_examples(task_files(place, "en", "validation")["validation"], POS.columns), {})
    for lang in ("sw", "yo", "ha"):
        data = read_examples(task_files(place, lang, "test")["test"], POS.columns)
        POS.check(data)
        assert not data.skipped and POS.relabel(data, {}, labels).columns == data.columns
