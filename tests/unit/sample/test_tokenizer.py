"""The tokenizer of the tiny teachers: loses no character of the four languages and is the same every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast

from bistil_ray.sample.generate import LEXICONS, documents
from bistil_ray.sample.tokenizer import SPECIAL_TOKENS, alphabet, train_tokenizer


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    for language in LEXICONS:
        texts = [text for text, _ in zip(documents(language), range(300), strict=False)]
        pq.write_table(pa.table({"text": texts}), folder / f"{language}.parquet")
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpora: Path) -> PreTrainedTokenizerFast:
    return train_tokenizer(corpora, 1500)


def test_special_tokens_come_first(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_ids_to_tokens(list(range(5))) == list(SPECIAL_TOKENS)
    assert len(tokenizer) == 1500
    assert len(tokenizer.added_tokens_decoder) == len(SPECIAL_TOKENS)


def test_no_text_of_the_four_languages_turns_into_unknown(tokenizer: PreTrainedTokenizerFast) -> None:
    for language in LEXICONS:
        texts = [text for text, _ in zip(documents(language), range(600), strict=False)]
        assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(texts)["input_ids"])
    assert tokenizer.unk_token_id not in tokenizer("".join(alphabet()))["input_ids"]


def test_case_tone_marks_and_hooks_are_kept(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in ("Ẹ̀kọ́", "ọ̀dọ́", "Ɗan", "ƙanƙara"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_pairs_get_separators_and_segments(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = tokenizer("watu", "mutane")
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens[0] == "[CLS]" and tokens.count("[SEP]") == 2 and tokens[-1] == "[SEP]"
    assert encoded["token_type_ids"][-1] == 1 and encoded["token_type_ids"][0] == 0


def test_another_process_trains_the_same_tokenizer(corpora: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    code = (
        "import sys; from pathlib import Path; from bistil_ray.sample.tokenizer import train_tokenizer;"
        "sys.stdout.buffer.write(train_tokenizer(Path(sys.argv[1]), 1500).backend_tokenizer.to_str().encode())"
    )
    run = subprocess.run([sys.executable, "-c", code, str(corpora)], capture_output=True, check=True)
    assert run.stdout.decode() == tokenizer.backend_tokenizer.to_str()
