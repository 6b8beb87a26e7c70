"""The embedded example: the same data every time, spelled as the languages are, and fit for its purpose."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest

from bistil_ray.sample import names
from bistil_ray.sample.generate import (
    DOCUMENTS,
    LEXICONS,
    SPLITS,
    SamplePaths,
    documents,
    materialise,
    packaged_teachers,
    tagged_sentences,
)
from bistil_ray.sample.scene import name_pool
from bistil_ray.sample.sentences import SentenceMaker, Tagged, detokenise, slot_keys, split_template

LANGUAGES = sorted(LEXICONS)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SamplePaths:
    return materialise(tmp_path_factory.mktemp("sample"))


@cache
def corpus_of(language: str) -> list[str]:
    return list(documents(language))


def spans(sentence: Tagged, kind: str) -> set[str]:
    found: list[list[str]] = []
    for token, tag in sentence:
        if tag == f"B-{kind}":
            found.append([token])
        elif tag == f"I-{kind}":
            found[-1].append(token)
    return {" ".join(words) for words in found}


def all_spans(language: str, split: str, kind: str) -> set[str]:
    return set().union(*(spans(sentence, kind) for sentence in tagged_sentences(language, split)))


def test_files_have_the_promised_columns_and_sizes(sample: SamplePaths) -> None:
    for language in LANGUAGES:
        corpus = pq.read_table(sample.corpora / f"{language}.parquet")
        assert corpus.schema.field("text").type == "string"
        assert corpus.num_rows == DOCUMENTS
        for split, size in SPLITS.items():
            table = pq.read_table(sample.task_data / language / f"{split}.parquet")
            assert [str(field.type.value_type) for field in table.schema] == ["string", "string"]
            assert table.column_names == ["tokens", "ner_tags"]
            assert table.num_rows == size


def test_same_seed_same_text_and_other_seed_other_text() -> None:
    assert corpus_of("yo") == list(documents("yo"))
    assert corpus_of("yo") != list(documents("yo", seed=1))
    assert list(tagged_sentences("ha", "test")) == list(tagged_sentences("ha", "test"))


def test_rewritten_files_have_the_same_bytes_and_finished_ones_are_left_alone(
    sample: SamplePaths, tmp_path: Path
) -> None:
    again = materialise(tmp_path)
    file = again.task_data / "sw" / "test.parquet"
    assert file.read_bytes() == (sample.task_data / "sw" / "test.parquet").read_bytes()
    kept, changed = again.corpora / "en.parquet", again.corpora / "yo.parquet"
    stamp, content = kept.stat().st_mtime_ns, changed.read_bytes()
    changed.unlink()
    materialise(tmp_path)
    assert kept.stat().st_mtime_ns == stamp
    assert changed.read_bytes() == content


def test_files_of_an_older_version_are_written_anew(tmp_path: Path) -> None:
    paths = materialise(tmp_path)
    file = paths.task_data / "en" / "validation.parquet"
    current = file.read_bytes()
    pq.write_table(pq.read_table(file).replace_schema_metadata({"bistil_ray.sample": "0"}), file)
    materialise(tmp_path)
    assert file.read_bytes() == current


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_is_nfc_and_every_slot_is_filled(language: str) -> None:
    for text in corpus_of(language):
        assert unicodedata.is_normalized("NFC", text)
        assert not re.search(r"[{}_]|\s\s|\s[,.?!]", text)


def test_orthography_of_the_targets_is_there() -> None:
    yoruba, hausa, swahili = (" ".join(corpus_of(language)) for language in ("yo", "ha", "sw"))
    assert set("ẹọṣẸỌṢàáèéìíòóùúńǹ\u0300\u0301") <= set(yoruba)
    assert set("ɓɗƙƴƊƘƳ") <= set(hausa)
    assert "ng'ombe" in swahili


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", SPLITS)
def test_tags_are_valid_iob2(language: str, split: str) -> None:
    for sentence in tagged_sentences(language, split):
        previous = "O"
        for token, tag in sentence:
            assert token and not re.search(r"\s", token)
            assert tag == "O" or tag[:2] in ("B-", "I-") and tag[2:] in ("PER", "LOC", "ORG")
            if tag.startswith("I-"):
                assert previous[2:] == tag[2:]
            previous = tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_test_names_are_in_no_english_training_sentence_but_in_the_corpora(language: str) -> None:
    for kind in ("PER", "LOC"):
        tested = all_spans(language, "test", kind)
        assert tested
        assert not tested & all_spans("en", "train", kind)
        corpus = " ".join(corpus_of(language))
        words = {word for name in tested for word in name.split()}
        assert words <= set(re.findall(r"[^\s,.?!]+", corpus))


def test_every_list_of_names_has_training_and_evaluation_names() -> None:
    for group in (
        names.MEN,
        names.WOMEN,
        names.FAMILIES,
        names.CITIES,
        names.LANDS,
        names.COMPANY_NAMES,
        names.COMPANY_KINDS,
        names.ONE_WORD_COMPANIES,
        names.CLUB_KINDS,
    ):
        assert len(set(group)) == len(group)
        share = sum(map(names.is_evaluation_name, group)) / len(group)
        assert 0.3 < share < 0.7


def test_local_spellings_belong_to_shared_names() -> None:
    shared = {*names.MEN, *names.WOMEN, *names.FAMILIES, *names.CITIES, *names.LANDS}
    for lexicon in LEXICONS.values():
        assert set(lexicon.spellings) <= shared


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_templates_and_word_lists_are_parallel_to_english(language: str) -> None:
    english, other = LEXICONS["en"], LEXICONS[language]
    assert len(other.templates) == len(english.templates) >= 60
    assert len(other.organisations) == len(english.organisations)
    for mine, theirs in zip(english.templates, other.templates, strict=True):
        keys, other_keys = ({*slot_keys(split_template(text))} for text in (mine, theirs))
        kinds = {key[0] for key in keys ^ other_keys if key is not None}
        assert kinds <= {"RELATIVE", "AUNT", "UNCLE"}, theirs
    for slot, words in english.words.items():
        assert slot == "RELATIVE" or len(other.words[slot]) == len(words), slot
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_a_translation_has_the_same_entities(language: str) -> None:
    random = Random(3)
    maker, english = (SentenceMaker(LEXICONS[name], name_pool(0.25), random) for name in (language, "en"))
    for _ in range(300):
        mine, theirs = maker.with_translation(english)
        tags = [sorted(tag for _, tag in sentence if tag.startswith("B-")) for sentence in (mine, theirs)]
        assert tags[0] == tags[1]
        numbers = [sorted(word for word, _ in sentence if word.isdigit()) for sentence in (mine, theirs)]
        assert numbers[0] == numbers[1]


def test_no_sentence_goes_from_a_place_to_itself() -> None:
    route = re.compile(r"kutoka (\S+) hadi (\S+)")
    routes = [match.groups() for text in corpus_of("sw") for match in route.finditer(text)]
    assert routes
    assert all(start != end for start, end in routes if start not in ("Sudan", "Afrika"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_some_sentences_have_no_entity_and_some_have_several(language: str) -> None:
    counts = [sum(tag.startswith("B-") for _, tag in sentence) for sentence in tagged_sentences(language, "validation")]
    assert 0.1 < counts.count(0) / len(counts) < 0.35
    assert sum(count >= 2 for count in counts) / len(counts) > 0.3


def test_detokenised_text_sets_no_space_before_marks() -> None:
    assert detokenise(["Je", ",", "Musa", "anaishi", "Kano", "?"]) == "Je, Musa anaishi Kano?"


def test_packaged_teachers_are_folders_with_a_configuration() -> None:
    for folder in packaged_teachers().values():
        assert (folder / "config.json").is_file()
