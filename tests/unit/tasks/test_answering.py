"""Question answering: answers are found in the right windows and come back as the text they were."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from bistil_ray.data.batches import Features, pad_batch
from bistil_ray.data.examples import Examples, read_examples, task_files
from bistil_ray.errors import DataError
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.tasks.answering import MAX_ANSWER_TOKENS, Answering, best_span
from bistil_ray.tasks.task import score

QA = Answering()
Row = tuple[str, str, tuple[str, ...], tuple[int, ...]]
PLAIN = "  Mama yangu hupika wali, nasi hula pamoja kazi inapokwisha. Mwalimu aliandika barua kwa benki ya Nairobi."
# Composed and decomposed letters, marks alone, brackets, no-break and narrow spaces, an emoji of several characters.
MARKED = "\u00a0 Ẹ ka\u0301a\u0300ro\u0323\u0300 o, ọmọ mi! (wọ́n  ti\u2009dé) 👩🏾‍🏫 «ní Èkó»; \u0301 ƙasa."


def questions(*rows: Row) -> Examples:
    contexts, asked, texts, starts = zip(*rows, strict=True)
    answers = tuple(zip(texts, starts, strict=True))
    return Examples({"context": contexts, "question": asked, "answers": answers}, "train.parquet", {})


def every_span_of(context: str) -> Examples:
    """Each span of up to 8 words is an answer once, and each question another."""
    words = [match.span() for match in re.finditer(r"\S+", context)]
    spans = [(words[i][0], words[j][1]) for i in range(len(words)) for j in range(i, min(i + 8, len(words)))]
    asked = product("mto shule mpya kazi benki ya na wali night the river sing".split(), repeat=3)
    return questions(*((context, " ".join(next(asked)), (context[a:b],), (a,)) for a, b in spans))


def knowing(features: Features) -> dict[str, torch.Tensor]:
    rows = {name: torch.zeros(len(features["input_ids"])) for name in ("start", "end")}
    for name, row in rows.items():
        row[features[name]] = 10.0
    return {f"{name}_logits": row for name, row in rows.items()}


@pytest.mark.parametrize("max_length", [36, 128])
def test_the_encoded_answer_is_the_answer(family_tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    data = every_span_of(PLAIN)
    found = set()
    for row in QA.encode(data, family_tokenizer, (), max_length):
        if row["start"]:
            found.add(tuple(row["input_ids"][row["start"] : row["end"] + 1]))
    expected = {
        tuple(family_tokenizer(text, add_special_tokens=False)["input_ids"]) for (text,), _ in data.columns["answers"]
    }
    assert found == expected if max_length == 128 else found <= expected


@pytest.mark.parametrize("context", [PLAIN, MARKED])
@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder", "byte level"])
def test_a_perfect_model_gives_every_answer_back(
    family: str,
    context: str,
    oracle: type,
    byte_level_tokenizer: PreTrainedTokenizerFast,
    request: pytest.FixtureRequest,
) -> None:
    tokenizer = byte_level_tokenizer if family == "byte level" else load_tokenizer(request.getfixturevalue(family))
    data = every_span_of(context)
    model = oracle(QA.encode(data, tokenizer, (), 400), knowing)
    answers = [text for (text,), _ in data.columns["answers"]]
    short = [len(tokenizer(text)["input_ids"]) <= MAX_ANSWER_TOKENS for text in answers]
    predicted = QA.predict(model, tokenizer, data, (), 400)
    assert sum(short) > 40
    assert [text for text, fits in zip(predicted, short, strict=True) if fits] == (
        [text for text, fits in zip(answers, short, strict=True) if fits]
    )


def test_a_perfect_model_scores_one_over_many_windows(
    family_tokenizer: PreTrainedTokenizerFast, toy_texts: dict[str, list[str]], oracle: type
) -> None:
    context = " ".join(toy_texts["sw"] + toy_texts["en"])
    data = questions(
        (context, "nani", ("Mkulima",), (0,)),
        (context, "wapi", ("Nairobi", "benki ya Nairobi"), tuple(map(context.index, ("Nairobi", "benki ya Nairobi")))),
        (context, "who", ("the work is done",), (context.index("the work is done"),)),
    )
    features = QA.encode(data, family_tokenizer, (), 40)
    assert len(features) > 6
    scores = score(QA, oracle(features, knowing), family_tokenizer, data, (), 40)
    assert scores.score == 1.0 and scores.details == {"exact_match": 1.0, "questions": 3}


def test_windows_without_the_whole_answer_point_at_the_marker(tokenizer: PreTrainedTokenizerFast) -> None:
    # 3 markers and 1 question leave 6 places: tokens 0 to 5, 3 to 8 and 6 to 9 of 10.
    context = "wa " * 5 + "kọ. " + "wa " * 3
    features = QA.encode(questions((context, "ń", ("kọ.",), (15,))), tokenizer, (), 10)
    assert [(row["start"], row["end"]) for row in features] == [(0, 0), (5, 6), (0, 0)]
    assert tokenizer.convert_ids_to_tokens(features[1]["input_ids"][5:7]) == ["kọ", "."]


def test_questions_without_answer_point_at_the_marker_and_answers_are_always_given(
    tokenizer: PreTrainedTokenizerFast, oracle: type
) -> None:
    data = questions(("wa kọ", "ń", (), ()))
    features = QA.encode(data, tokenizer, (), 10)
    assert [(row["start"], row["end"]) for row in features] == [(0, 0)]
    assert QA.predict(oracle(features, knowing), tokenizer, data, (), 10) == ["wa"]
    assert score(QA, oracle(features, knowing), tokenizer, data, (), 10).score == 0.0


def test_the_first_answer_trains_and_every_answer_counts(tokenizer: PreTrainedTokenizerFast, oracle: type) -> None:
    first, second = (questions(("wa kọ ọmọ", "ń", *answers)) for answers in ((("wa", "ọmọ"), (0, 6)), (("ọmọ",), (6,))))
    features = QA.encode(first, tokenizer, (), 10)
    assert [(row["start"], row["end"]) for row in features] == [(3, 3)]
    knows_the_second = oracle(QA.encode(second, tokenizer, (), 10), knowing)
    assert score(QA, knows_the_second, tokenizer, first, (), 10).score == 1.0


def test_answers_without_tokens_train_nothing_and_harm_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    data = questions(("wa \u200b kọ", "ń", ("\u200b",), (3,)), ("\u200b", "ń", ("\u200b",), (0,)))
    features = QA.encode(data, tokenizer, (), 10)
    assert [(row["start"], row["end"]) for row in features] == [(0, 0), (0, 0)]


def test_a_context_without_tokens_has_no_answer(tokenizer: PreTrainedTokenizerFast, oracle: type) -> None:
    data = questions(("\u200b", "ń", ("\u200b",), (0,)))
    assert QA.predict(oracle([], knowing), tokenizer, data, (), 10) == [""]


@pytest.mark.parametrize(
    ("texts", "starts", "said"),
    [
        (("kọ",), (4,), "has the answer 'kọ' at character 4, where the context has 'ọ'"),
        (("wa",), (-5,), "at character -5, where the context has ''"),
        (("wa",), (99,), "at character 99, where the context has ''"),
        (("Wa",), (0,), "has the answer 'Wa' at character 0, where the context has 'wa'"),
        (("",), (0,), "has the answer ''"),
        ((" ",), (2,), "has the answer ' '"),
        (("wa", "kọ"), (0,), "has 2 texts but 1 answer_start"),
        (("wa", "wa"), (0, 3), "has the answer 'wa' at character 3"),
    ],
)
def test_answers_that_do_not_stand_where_they_should_are_refused(
    texts: tuple[str, ...], starts: tuple[int, ...], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        QA.check(questions(("wa kọ", "ń", ("kọ",), (3,)), ("wa kọ", "ń", texts, starts)))
    message = str(caught.value)
    assert message.startswith("train.parquet, row 1,") and said in message and "\n" not in message


def test_there_are_no_labels_and_nothing_to_map() -> None:
    data = questions(("wa kọ", "ń", ("kọ",), (3,)))
    QA.check(data)
    assert QA.labels(data, {"a": "b"}) == () and QA.relabel(data, {"a": "b"}, ()) is data


def test_padding_is_no_choice() -> None:
    batch = pad_batch(
        [{"input_ids": [2, 5, 6, 3], "start": 1, "end": 2}, {"input_ids": [2, 3], "start": 0, "end": 0}], pad_id=0
    )
    output = ModelOutput(start_logits=torch.zeros(2, 4), end_logits=torch.full((2, 4), 300.0, dtype=torch.float16))
    logits = QA.logits(output, batch)
    assert {name: row.tolist() for name, row in QA.targets(batch).items()} == {"start": [1, 0], "end": [2, 0]}
    for row in logits.values():
        assert row.isfinite().all()
        assert (row.float() / 5).softmax(-1).tolist() == [[0.25] * 4, [0.5, 0.5, 0.0, 0.0]]


def test_the_best_span_is_in_order_and_in_reach() -> None:
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 29, 80):
        start, end = torch.randn(2, length, generator=generator).unbind()
        spans = ((i, j) for i in range(length) for j in range(i, min(i + MAX_ANSWER_TOKENS, length)))
        i, j = max(spans, key=lambda span: start[span[0]] + end[span[1]])
        assert best_span(start, end) == (pytest.approx(float(start[i] + end[j])), i, j)


def test_an_answer_may_be_as_long_as_the_longest_and_no_longer() -> None:
    start, end = torch.zeros(2, 60).unbind()
    start[10], end[10 + MAX_ANSWER_TOKENS - 1], end[10 + MAX_ANSWER_TOKENS] = 9.0, 5.0, 7.0
    assert best_span(start, end) == (14.0, 10, 10 + MAX_ANSWER_TOKENS - 1)


def test_real_answers_stand_where_they_should_and_are_kept_by_windows(shared: Path) -> None:
    tokenizer = load_tokenizer(str(shared / "models" / "mini-mbert"))
    place = str(shared / "data" / "qa")
    for lang in ("sw", "yo", "ha"):
        data = read_examples(task_files(place, lang, "test")["test"], QA.columns)
        QA.check(data)
        features = QA.encode(data, tokenizer, (), 128)
        assert not data.skipped and sum(row["start"] > 0 for row in features) >= len(data)
