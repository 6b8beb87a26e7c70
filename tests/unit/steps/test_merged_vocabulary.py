"""A student's vocabulary out of packs that were cut by frequency: every token that is kept is found again, exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bistil_ray.errors import ConfigError
from bistil_ray.models.loading import load_masked_lm, load_tokenizer
from bistil_ray.steps.blocks import held_out_blocks
from bistil_ray.steps.context import Job
from bistil_ray.steps.merged_vocabulary import MergedVocabulary, merge_vocabularies
from bistil_ray.steps.predict import load_predictor
from tests.packed import pack_of

THRESHOLDS = (0.0, 0.006, 0.02)
STRANGE = ["日本 the ☃ farm", "", "<foreign 3> [foreign] zzz", "Mkulima anaimba kabla ya usiku.", "The bank wrote, kwa"]

Packs = Callable[..., dict[str, Path]]


@pytest.fixture(scope="module")
def packs(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Packs:
    """A function packing languages, each with its teacher's tokenizer: ``packs(0.01, en=folder)``."""
    folder, made = tmp_path_factory.mktemp("packs"), itertools.count()

    def pack(threshold: float, **teacher_of: Path) -> dict[str, Path]:
        return {
            lang: pack_of(teacher, tiny_data / "corpora", lang, folder / str(next(made)), threshold)
            for lang, teacher in teacher_of.items()
        }

    return pack


def merged(packs: Packs, threshold: float, **teacher_of: Path) -> MergedVocabulary:
    places = {lang: str(teacher) for lang, teacher in teacher_of.items()}
    return merge_vocabularies(packs(threshold, **teacher_of), places, list(dict.fromkeys(places.values())))


def test_a_threshold_of_0_keeps_every_token_at_its_id(packs: Packs, bert_folder: Path, xlmr_folder: Path) -> None:
    whole = {"en": bert_folder, "sw": bert_folder}
    alone = merged(packs, 0.0, **whole)
    for ids in alone.maps.values():
        assert ids.tolist() == list(range(len(load_tokenizer(bert_folder))))
    both = merged(packs, 0.0, en=bert_folder, sw=xlmr_folder)
    assert {lang: len(ids) for lang, ids in both.maps.items()} == {
        "en": len(load_tokenizer(bert_folder)), "sw": len(load_tokenizer(xlmr_folder))
    }  # fmt: skip


def test_a_higher_threshold_makes_a_smaller_vocabulary(packs: Packs, bert_folder: Path, xlmr_folder: Path) -> None:
    sizes = [merged(packs, each, en=bert_folder, sw=xlmr_folder).union.size for each in THRESHOLDS]
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_each_language_is_split_as_its_pack_was_into_ids_of_the_student(
    packs: Packs, bert_folder: Path, xlmr_folder: Path, tmp_path: Path, threshold: float
) -> None:
    vocabulary = merged(packs, threshold, en=bert_folder, sw=xlmr_folder, ha=xlmr_folder)
    for lang, tokenizer in vocabulary.tokenizers().items():
        tokenizer.save_pretrained(tmp_path / lang)
        saved, packed = AutoTokenizer.from_pretrained(tmp_path / lang), vocabulary.packed[lang]
        for text in STRANGE:
            assert saved(text).tokens() == packed(text).tokens()
            assert saved(text)["input_ids"] == vocabulary.maps[lang][packed(text)["input_ids"]].tolist()
        assert len(saved) == vocabulary.union.size > vocabulary.maps[lang].max()
        ordinary = vocabulary.masking(lang).ordinary_ids.numpy()
        special = [getattr(saved, f"{role}_token_id") for role in ("pad", "unk", "cls", "sep", "mask")]
        assert np.isin(ordinary, vocabulary.maps[lang]).all() and not np.isin(special, ordinary).any()


def test_two_languages_of_a_teacher_have_one_id_for_a_token_of_both(packs: Packs, bert_folder: Path) -> None:
    vocabulary = merged(packs, 0.006, en=bert_folder, sw=bert_folder)
    ids = {
        lang: {token: int(vocabulary.maps[lang][index]) for token, index in packed.get_vocab().items()}
        for lang, packed in vocabulary.packed.items()
    }
    shared = ids["en"].keys() & ids["sw"].keys()
    assert len(shared) < min(map(len, ids.values())), "each has tokens that the other has not"
    assert {token: ids["en"][token] for token in shared} == {token: ids["sw"][token] for token in shared}
    assert set(ids["en"].values()) | set(ids["sw"].values()) == set(range(vocabulary.union.size))
    for_all = vocabulary.tokenizer_for_all()
    assert for_all is not None and for_all.get_vocab() == ids["en"] | ids["sw"]


def test_predictions_are_the_logits_of_the_whole_teacher_at_the_tokens_that_are_kept(
    packs: Packs, xlmr_folder: Path
) -> None:
    (pack,) = packs(0.006, sw=xlmr_folder).values()
    kept = np.load(pack / "kept.npy")
    predictor = load_predictor(predict_job(pack, xlmr_folder, top_k=len(kept) - 1), torch.device("cpu"))
    made = predictor.predict(held_out_blocks(pack, "sw", most=4))
    with torch.inference_mode():
        inputs = torch.from_numpy(kept[made.inputs_NT])
        logits = load_masked_lm(str(xlmr_folder))(input_ids=inputs).logits[made.labels_NT >= 0]
    expected = logits.gather(1, torch.from_numpy(kept[made.known_ids_MK]))
    found = torch.from_numpy(made.log_probabilities_MK.astype(np.float32) + made.log_sum_exp_M[:, None])
    assert len(kept) < logits.shape[1] and len(found)
    assert torch.allclose(found, expected, atol=0.01), "half precision is all that differs"


def test_more_predictions_than_tokens_that_stay_are_refused(packs: Packs, xlmr_folder: Path) -> None:
    (pack,) = packs(0.02, sw=xlmr_folder).values()
    tokens = len(np.load(pack / "kept.npy"))
    with pytest.raises(ConfigError, match=f"merge.top_k is {tokens}, but {tokens} tokens of .* stay for 'sw'"):
        load_predictor(predict_job(pack, xlmr_folder, top_k=tokens), torch.device("cpu"))


def predict_job(pack: Path, teacher: Path, top_k: int) -> Job:
    settings = {"lang": "sw", "length": 16, "mask": 0.2, "top_k": top_k, "kept": "likeliest", "seed": 0}
    return Job("predict", settings, {"teacher": str(teacher)}, {"pack": pack}, pack / "unused")
