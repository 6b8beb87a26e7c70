"""What is said of a corpus: counts that are right, lines of another language, unknown characters, and warnings."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from transformers import PreTrainedTokenizerFast

from bistil_ray.data.check import CorpusCheck, check_corpora, warnings
from bistil_ray.data.corpus import list_shards
from bistil_ray.data.foreign import WordCounts, foreign_words, is_foreign, words_of
from bistil_ray.data.survey import Survey, TokenSurvey, survey_corpus, survey_tokens, unknown_characters

WriteTexts = Callable[..., str]


@pytest.fixture
def survey(write_texts: WriteTexts) -> Callable[[Sequence[str | None]], Survey]:
    """A function surveying rows."""
    return lambda rows: survey_corpus(list_shards([write_texts("yo.parquet", rows, rows_per_group=3)], "text"), "text")


def test_rows_words_and_characters_are_counted(survey: Callable[..., Survey]) -> None:
    found = survey(["Ọmọ náà, ń kọ", "", None, "orin  kan"])
    assert (found.rows, found.words, found.unusable) == (2, 6, Counter(empty=1, null=1))
    assert found.characters.total() == len("Ọmọ náà, ń kọ") + len("orin  kan")


def test_repeated_rows_are_told_from_rows_that_are_alike(survey: Callable[..., Survey]) -> None:
    rows = ["Ukurasa wa 12", "Ukurasa wa 12", "ukurasa  wa 13!", "Ukurasa wa mwisho", "Ukurasa wa  12"]
    found = survey(rows)
    assert (found.duplicates, found.alike) == (2, 1)


def test_both_spellings_of_a_letter_are_duplicates_and_not_nfc(survey: Callable[..., Survey]) -> None:
    found = survey(["náà", unicodedata.normalize("NFD", "náà"), "orin"])
    assert (found.duplicates, found.not_nfc) == (1, 1)


def test_a_row_of_one_word_is_repetitive(survey: Callable[..., Survey]) -> None:
    found = survey(["ha ha ha, Ha!", "ma ma ma mama mama mama", "ha ha ha", "la la la kesho"])
    assert found.repetitive == 2


def test_scripts_are_shares_of_letters(survey: Callable[..., Survey]) -> None:
    found = survey(["abcọ 12 ...", "бб", "سس"])
    assert found.scripts() == {"LATIN": 0.5, "CYRILLIC": 0.25, "ARABIC": 0.25}
    assert survey(["12 34"]).scripts() == {}


def test_words_are_compared_without_case_punctuation_and_numbers() -> None:
    assert words_of("“Ọmọ” n'ílé, (2019) — k'á LỌ!") == ["ọmọ", "n'ílé", "k'á", "lọ"]


def test_words_speak_for_the_language_that_has_them_more_often() -> None:
    here, there = WordCounts(), WordCounts()
    here.add(["na"] * 8 + ["ni"] * 9 + ["the"] * 3)
    there.add(["the"] * 6 + ["of"] * 5 + ["ni"] * 9)
    assert foreign_words(here, there) == {"the", "of"}


def test_a_row_is_foreign_if_most_of_its_words_are() -> None:
    speaking = {"the", "of"}
    assert is_foreign(["the", "of", "the", "na"], speaking)
    assert not is_foreign(["the", "of", "na", "ni"], speaking)
    assert not is_foreign(["the", "of", "the"], speaking)


def test_rare_words_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.data.foreign._MOST_WORDS", 10)
    counted = WordCounts()
    for number in range(100):
        counted.add(["na", f"rare{number}"])
    assert len(counted.counts) <= 10
    assert (counted.counts["na"], counted.total) == (100, 200)


def test_lines_of_the_other_language_are_found_in_both(
    write_texts: WriteTexts, toy_texts: dict[str, list[str]]
) -> None:
    english, swahili = toy_texts["en"], toy_texts["sw"]
    files = {
        "sw": [write_texts("sw.parquet", swahili * 8 + english[:2])],
        "en": [write_texts("en.parquet", english * 8)],
    }
    of_swahili, of_english = check_corpora(files, "text")
    assert of_swahili.foreign["en"].rows == 2
    assert of_swahili.foreign["en"].examples == english[:2]
    assert of_english.foreign["sw"].rows == 0
    assert any("2 rows (4.76%) read like en: 'The farmer" in line for line in warnings(of_swahili))
    assert not any("read like" in line for line in warnings(of_english))


def test_tokens_and_unknown_ones_are_counted(write_texts: WriteTexts, tokenizer: PreTrainedTokenizerFast) -> None:
    shards = list_shards([write_texts("yo.parquet", ["ọmọde ń kọ.", "waƙa xyz, ọmọ", None])], "text")
    found = survey_tokens(shards, "text", tokenizer.backend_tokenizer, tokenizer.unk_token_id)
    # ọmọ ##de ń kọ . | wa ##ƙa [UNK] , ọmọ
    assert found == TokenSurvey(tokens=10, unknown=1)


def test_a_character_is_unknown_alone_or_within_a_word() -> None:
    from transformers import BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "k", "'"]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=False)
    characters = Counter("aaaa a'a ƙƙ k")
    unknown = unknown_characters(characters, tokenizer.backend_tokenizer, tokenizer.unk_token_id)
    # k has no piece that continues a word; the apostrophe is a word of its own.
    assert unknown == {"ƙ": 2, "k": 1}
    assert unknown_characters(characters, tokenizer.backend_tokenizer, None) == {}


def test_a_byte_level_tokenizer_knows_everything(
    write_texts: WriteTexts, byte_level_tokenizer: PreTrainedTokenizerFast
) -> None:
    backend = byte_level_tokenizer.backend_tokenizer
    (check,) = check_corpora({"ha": [write_texts("ha.parquet", ["waƙa mai daɗi"])]}, "text", backend, None)
    assert check.tokens is not None and check.tokens.tokens > 0
    assert (check.tokens.unknown, check.unknown_characters) == (0, {})


def test_a_clean_corpus_has_no_warning_and_a_bad_one_each(write_texts: WriteTexts) -> None:
    clean = [f"{chr(97 + number // 26)}{chr(97 + number % 26)} na maneno mengine" for number in range(100)]
    (good,) = check_corpora({"sw": [write_texts("good.parquet", clean)]}, "text")
    assert list(warnings(good)) == []
    bad = [*clean, clean[0], clean[1], None, "e\u0301", "бббб" * 20, "ni ni ni ni"]
    bad += [clean[0] + "." * number for number in range(1, 8)]
    (found,) = check_corpora({"sw": [write_texts("bad.parquet", bad)]}, "text")
    said = "\n".join(warnings(found))
    for word in ("1 null", "not in NFC", "repeat an earlier", "lines of a template", "again and again", "CYRILLIC"):
        assert word in said
    assert len(said.splitlines()) == 6


def test_unknown_tokens_are_warned_of_with_their_characters() -> None:
    check = CorpusCheck("ha", 1, Survey(rows=1), tokens=TokenSurvey(1000, 12), unknown_characters={"ƙ": 9, "\u0323": 3})
    assert list(warnings(check)) == ["1.2% of the tokens are unknown to the teacher; it lacks ƙ \u25cc\u0323"]
