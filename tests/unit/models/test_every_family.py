"""Every family learns and is saved, and is cut together with a tokenizer of the kind that it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, DebertaV2Tokenizer, PreTrainedModel, PreTrainedTokenizerFast

from bistil_ray.evaluate.speed import measure
from bistil_ray.losses.attention import attention_mse, valid_pairs
from bistil_ray.losses.hidden import hidden_mse
from bistil_ray.models.layers import Alignment
from bistil_ray.models.loading import check_teacher, load_masked_lm, load_tokenizer
from bistil_ray.models.states import observe
from bistil_ray.models.student import build_student, cut_vocabulary
from bistil_ray.train.objectives import Distillation
from bistil_ray.train.optim import autocast, round_once
from bistil_ray.vocab.merges import merge_closure
from bistil_ray.vocab.trim import always_kept_ids, id_table, trim_tokenizer

MAPPING = (0, 3)
TEXTS = [
    "The farmer sings before the night and the children sing along.",
    "Mkulima anaimba kabla ya usiku na watoto wanaimba pamoja naye.",
    "Àgbẹ̀ náà ń kọrin ṣáájú alẹ́, àwọn ọmọdé sì ń kọrin pẹ̀lú rẹ̀.",
]
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
NAMED = {f"{token[1:-1].lower()}_token": token for token in SPECIALS}


def test_a_student_comes_nearer_to_its_teacher(make_model, inputs, family_name: str, tmp_path: Path) -> None:
    teacher = make_model(family_name, hidden_size=32, num_attention_heads=4, initializer_range=0.1)
    student = build_student(teacher, MAPPING)
    valid = inputs["attention_mask"]
    with torch.no_grad():
        taught = observe(teacher, inputs, hidden=[0, 2, 4], attention=[0, 3])
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        seen = observe(student, inputs, hidden=[0, 1, 2], attention=[0, 1])
        loss = hidden_mse(seen.hidden, taught.hidden, valid)
        loss = loss + attention_mse(seen.attention, taught.attention, valid_pairs(valid))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * losses[0]
    student.eval().save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(**inputs).logits, student(**inputs).logits)


def test_a_teacher_rounded_once_gives_what_it_gave_under_autocast(make_model, inputs, family_name: str) -> None:
    teacher = make_model(family_name)
    before = _observed_in_bf16(teacher, inputs)
    held = sum(parameter.nbytes for parameter in teacher.parameters())
    round_once([teacher], "fp32")
    assert sum(parameter.nbytes for parameter in teacher.parameters()) == held
    round_once([teacher], "bf16")
    assert sum(parameter.nbytes for parameter in teacher.parameters()) < 0.7 * held
    for ours, theirs in zip(_observed_in_bf16(teacher, inputs), before, strict=True):
        assert torch.equal(ours, theirs)


def _observed_in_bf16(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad(), autocast("bf16", model.device):
        seen = observe(model, inputs, hidden=[0, 2, 4], attention=[0, 3])
    return [seen.output.logits, *seen.hidden, *seen.attention]


def test_distillation_learns_from_maps_that_are_never_whole(make_model, inputs, family_name: str) -> None:
    precise = torch.float32 if family_name == "modernbert" else torch.float64  # whose rotations are float32
    teacher, student = make_model(family_name).to(precise), build_student(make_model(family_name), MAPPING).to(precise)
    with torch.no_grad():
        student.get_input_embeddings().weight.add_(0.1)
    goal = Distillation(student, [teacher], Alignment((), (), (0, 1), (0, 3)), {"attention": 1.0})
    valid = inputs["attention_mask"]
    for mask in (valid, torch.ones_like(valid)):
        batch = {**inputs, "attention_mask": mask}
        with torch.no_grad():
            taught = observe(teacher, batch, hidden=[], attention=[0, 3])
        seen = observe(student, batch, hidden=[], attention=[0, 1])
        plain = attention_mse(seen.attention, taught.attention, valid_pairs(mask))
        found = []
        for loss in (goal.losses(batch, goal.counts(batch))["attention"], plain):
            student.zero_grad()
            loss.backward()
            found.append([loss.detach(), *(p.grad for p in student.parameters() if p.grad is not None)])
        close = {"rtol": 1e-3, "atol": 1e-6} if precise == torch.float32 else {"rtol": 1e-9, "atol": 1e-13}
        for ours, expected in zip(*found, strict=True):
            torch.testing.assert_close(ours, expected, **close)


def test_a_student_is_measured(make_model, family_name: str) -> None:
    teacher = make_model(family_name)
    student = build_student(teacher, MAPPING)
    whole, part = measure(teacher, length=10, repeats=1), measure(student, length=10, repeats=1)
    assert part.flops_per_token < whole.flops_per_token and part.params < whole.params


def unigram() -> PreTrainedTokenizerFast:
    """As DeBERTa-v3 has it: pieces with scores, and a mask token behind them."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=SPECIALS[:4], unk_token="[UNK]", show_progress=False
    )
    backend.train_from_iterator(TEXTS * 5, trainer)
    vocabulary = json.loads(backend.to_str())["model"]["vocab"]
    return DebertaV2Tokenizer(vocab=[(piece, score) for piece, score in vocabulary])


def byte_bpe() -> PreTrainedTokenizerFast:
    """As ModernBERT has it: symbols for bytes, special tokens behind the pieces."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        TEXTS * 5, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    return marked(backend)


def byte_fallback_bpe() -> PreTrainedTokenizerFast:
    """As mmBERT has it: Gemma's marks for spaces, and bytes for characters that are no pieces."""
    backend = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        TEXTS[:2] * 5, trainers.BpeTrainer(vocab_size=340, special_tokens=pieces, show_progress=False)
    )
    state = json.loads(backend.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in SPECIALS]
    return marked(Tokenizer.from_str(json.dumps(state)))


def marked(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """With special tokens, and markers around a text."""
    backend.add_special_tokens(SPECIALS)
    markers = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", markers)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED)


@pytest.mark.parametrize(
    ("family", "settings", "make_tokenizer"),
    [
        ("deberta-v2", {"legacy": True}, unigram),
        ("deberta-v2", {"legacy": False}, unigram),
        ("modernbert", {}, byte_bpe),
        ("modernbert", {}, byte_fallback_bpe),
    ],
)
def test_a_cut_teacher_predicts_kept_tokens_as_before(
    make_model,
    family: str,
    settings: dict[str, object],
    make_tokenizer: Callable[[], PreTrainedTokenizerFast],
    tmp_path: Path,
) -> None:
    tokenizer = make_tokenizer()
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "cls", "sep")}
    rows = len(tokenizer) + 5  # published tables are rounded up
    teacher = make_model(family, vocab_size=rows, max_position_embeddings=100, **ids, **settings)
    teacher.save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    check_teacher(tmp_path / "teacher")

    teacher, tokenizer = load_masked_lm(tmp_path / "teacher"), load_tokenizer(tmp_path / "teacher")
    old = tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    kept = merge_closure(
        tokenizer, np.array(sorted(always_kept_ids(tokenizer) | set(old.input_ids.flatten().tolist())))
    )
    assert len(kept) < len(tokenizer) < rows
    expected = teacher(**old).logits[..., kept]
    cut_vocabulary(teacher, kept).save_pretrained(tmp_path / "cut")
    trim_tokenizer(tokenizer, kept).save_pretrained(tmp_path / "cut")

    model, tokenizer = load_masked_lm(tmp_path / "cut"), load_tokenizer(tmp_path / "cut")
    assert model.config.vocab_size == len(tokenizer) == len(kept)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    new = tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    assert torch.equal(new.input_ids, torch.from_numpy(id_table(kept, rows))[old.input_ids])
    torch.testing.assert_close(model(**new).logits, expected, rtol=0, atol=1e-5)
