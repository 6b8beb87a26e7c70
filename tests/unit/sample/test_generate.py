"""The embedded example: the same data every time, spelled as the languages are, and fit for its purpose."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

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
from bistil_ray.sample.sentences import Tagged, detokenise

LANGUAGES = sorted(LEXICONS)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SamplePaths:
    return materialise(tmp_path_factory.mktemp("sample"))


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
    first = list(documents("yo"))
    assert first == list(documents("yo"))
    assert first != list(documents("yo", seed=1))
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
    for text in documents(language):
        assert unicodedata.is_normalized("NFC", text)
        assert not re.search(r"[{}_]|\s\s|\s[,.?!]", text)


def test_orthography_of_the_targets_is_there() -> None:
    yoruba, hausa, swahili = (" ".join(documents(language)) for language in ("yo", "ha", "sw"))
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
        corpus = " ".join(documents(language))
        words = {word for name in tested for word in name.split()}
        assert words <= set(re.findall(r"[^\s,.?!]+", corpus))


def test_every_list_of_names_has_training_and_evaluation_names() -> None:
    for group in (names.MEN, names.WOMEN, names.FAMILIES, names.CITIES, names.LANDS, names.COMPANY_NAMES,
                  names.COMPANY_KINDS, names.ONE_WORD_COMPANIES, names.CLUB_KINDS):
        assert len(set(group)) == len(group)
        share = sum(map(names.is_evaluation_name, group)) / len(group)
        assert 0.3 < share < 0.7


def test_local_spellings_belong_to_shared_names() -> None:
    shared = {*names.MEN, *names.WOMEN, *names.FAMILIES, *names.CITIES, *names.LANDS}
    for lexicon in LEXICONS.values():
        assert set(lexicon.spellings) <= shared


def test_templates_are_parallel_and_plentiful() -> None:
    counts = {language: len(lexicon.templates) for language, lexicon in LEXICONS.items()}
    assert len(set(counts.values())) == 1
    assert min(counts.values()) >= 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_some_sentences_have_no_entity_and_some_have_several(language: str) -> None:
    counts = [
        sum(tag.startswith("B-") for _, tag in sentence) for sentence in tagged_sentences(language, "validation")
    ]
    assert 0.1 < counts.count(0) / len(counts) < 0.35
    assert sum(count >= 2 for count in counts) / len(counts) > 0.3


def test_detokenised_text_sets_no_space_before_marks() -> None:
    assert detokenise(["Je", ",", "Musa", "anaishi", "Kano", "?"]) == "Je, Musa anaishi Kano?"


def test_packaged_teachers_are_folders_with_a_configuration() -> None:
    for folder in packaged_teachers().values():
        assert (folder / "config.json").is_file()
