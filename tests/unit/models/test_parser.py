"""Parsers: the head scores what its formulas say, and everything that works on models of a family works on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.models.families import FAMILIES, family_of
from bistil_ray.models.heads import check_labels, head_parameters, load_model, model_labels, new_model
from bistil_ray.models.parser import AutoBiaffineParser, word_vectors
from bistil_ray.models.states import observe
from bistil_ray.models.student import cut_vocabulary

HEAD, LABELS = "dependency-parsing", ("nsubj", "punct", "root")
IDS = torch.tensor([[2, 9, 8, 7, 11, 12, 3], [2, 5, 6, 3, 9, 9, 9]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])
STARTS = torch.tensor([[1, 3, 4, 4, 6], [1, 2, 3, -100, -100]])  # the first sentence's third word has no sub-words
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "word_starts": STARTS}


def with_random_head(model: PreTrainedModel) -> PreTrainedModel:
    """A fresh head scores 0 everywhere."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in ("arcs", "relations"):
            for parameter in getattr(model, name).parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def parser(folder: Path) -> PreTrainedModel:
    return with_random_head(new_model(HEAD, folder, LABELS, seed=0))


def test_scores_are_the_biaffine_forms_of_averaged_sub_words(parser: PreTrainedModel) -> None:
    parser = parser.double()
    output = parser(**INPUTS)
    hidden = parser.base_model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    size, one = parser.config.hidden_size, torch.ones(1, dtype=torch.float64)
    arcs = torch.cat([parser.arcs.weight.T, parser.arcs.bias[None]])
    relations = torch.cat([parser.relations.weight.T, parser.relations.bias[None]]).view(size + 1, 3, size + 1)
    for row, spans in enumerate(([(1, 3), (3, 4), None, (4, 6)], [(1, 2), (2, 3)])):
        words = [None if span is None else hidden[row, span[0] : span[1]].mean(0) for span in spans]
        for dependent, d in enumerate(words):
            for head, h in enumerate([hidden[row, 0], *words]):
                if d is not None and h is not None:
                    arc = torch.cat([d, one]) @ arcs @ h
                    relation = torch.einsum("d,drh,h->r", torch.cat([d, one]), relations, torch.cat([h, one]))
                    torch.testing.assert_close(output.arc_logits[row, dependent, head], arc)
                    torch.testing.assert_close(output.relation_logits[row, dependent, head], relation)


def test_what_is_no_word_is_never_a_head(parser: PreTrainedModel) -> None:
    output = parser(**INPUTS)
    chances = output.arc_logits.softmax(-1)
    assert (chances[0, :, 3] == 0).all() and (chances[1, :, 3:] == 0).all()
    assert (chances[1, :2, :3] > 0).all()
    assert output.arc_logits.isfinite().all() and output.relation_logits.isfinite().all()


def test_word_vectors_average_sub_words_and_pass_gradients_to_them_alone() -> None:
    hidden = torch.arange(7.0)[None, :, None].repeat(2, 1, 1).requires_grad_()
    vectors, present = word_vectors(hidden, STARTS)
    assert vectors.squeeze(-1).tolist() == [[1.5, 3, 0, 4.5], [1, 2, 0, 0]]
    assert present.tolist() == [[True, True, False, True], [True, True, False, False]]
    vectors.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.squeeze(-1).tolist() == [[0, 0.5, 0.5, 1, 0.5, 0.5, 0], [0, 1, 1, 0, 0, 0, 0]]


def test_padding_and_the_rest_of_a_batch_change_nothing(parser: PreTrainedModel) -> None:
    together = parser(**INPUTS)
    alone = parser(input_ids=IDS[1:, :4], attention_mask=MASK[1:, :4], word_starts=STARTS[1:, :3])
    torch.testing.assert_close(together.arc_logits[1:, :2, :3], alone.arc_logits)
    torch.testing.assert_close(together.relation_logits[1:, :2, :3], alone.relation_logits)


def test_a_batch_of_one_word_keeps_its_axes(parser: PreTrainedModel) -> None:
    output = parser(input_ids=torch.tensor([[2, 9, 3]]), word_starts=torch.tensor([[1, 2]]))
    assert output.arc_logits.shape == (1, 1, 2) and output.relation_logits.shape == (1, 1, 2, 3)


def test_without_word_starts_each_inner_position_is_a_word(parser: PreTrainedModel) -> None:
    torch.testing.assert_close(
        parser(input_ids=IDS).arc_logits, parser(input_ids=IDS, word_starts=torch.arange(1, 7).repeat(2, 1)).arc_logits
    )


def test_gradients_reach_the_whole_encoder(parser: PreTrainedModel) -> None:
    output = parser(**INPUTS)
    (output.arc_logits.logsumexp(-1).sum() + output.relation_logits.square().sum()).backward()
    without = [name for name, value in parser.named_parameters() if value.grad is None or not value.grad.any()]
    assert all(name.endswith("key.bias") for name in without)  # of which softmax takes no notice


def test_a_fresh_head_scores_nothing_and_keeps_the_encoder(folder: Path) -> None:
    parser = new_model(HEAD, folder, LABELS, seed=0).eval()
    output = parser(**INPUTS)
    assert not output.relation_logits.any()
    expected = AutoModel.from_pretrained(folder).eval()(input_ids=IDS, attention_mask=MASK).last_hidden_state
    given = parser.base_model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.equal(given, expected)
    assert model_labels(parser) == LABELS and not family_of(parser.config).has_pooler(parser)
    assert head_parameters(parser) == {"arcs.weight", "arcs.bias", "relations.weight", "relations.bias"}


def test_it_is_made_of_a_bare_encoder_as_well(folder: Path, tmp_path: Path) -> None:
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    parser, report = AutoBiaffineParser.from_pretrained(tmp_path, output_loading_info=True)
    assert {name.split(".")[0] for name in report["missing_keys"]} == {"arcs", "relations"}
    given = parser.eval().base_model(input_ids=IDS).last_hidden_state
    assert torch.equal(given, AutoModel.from_pretrained(folder).eval()(input_ids=IDS).last_hidden_state)


def test_a_saved_parser_is_the_same_again(parser: PreTrainedModel, tmp_path: Path) -> None:
    parser.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = load_model(HEAD, tmp_path)
    assert torch.equal(again(**INPUTS).relation_logits, parser(**INPUTS).relation_logits)
    check_labels(tmp_path, model_labels(again), LABELS)


def test_an_encoder_is_no_trained_parser(folder: Path) -> None:
    with pytest.raises(ModelError, match="not fine-tuned for dependency-parsing"):
        load_model(HEAD, folder)


def test_automodel_loads_it_in_a_fresh_process(xlmr_folder: Path, tmp_path: Path) -> None:
    new_model(HEAD, xlmr_folder, LABELS, seed=0).save_pretrained(tmp_path)
    program = f"""
import bistil_ray.models.parser
from transformers import AutoConfig, AutoModel
model = AutoModel.from_pretrained({str(tmp_path)!r}, trust_remote_code=False)
config = AutoConfig.from_pretrained({str(tmp_path)!r})
print(type(model).__name__, type(model.config) is type(config), *config.id2label.values())
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["XLMRobertaBiaffineParser", "True", *LABELS]


def test_it_scores_the_same_with_a_smaller_vocabulary_and_after_saving(parser: PreTrainedModel, tmp_path: Path) -> None:
    before = parser(**INPUTS)
    kept = np.unique([0, 1, *IDS.flatten().tolist(), 40])
    new_id = {int(old): new for new, old in enumerate(kept)}
    cut_vocabulary(parser, kept)
    assert parser.config.vocab_size == len(kept) == parser.base_model.config.vocab_size
    parser.save_pretrained(tmp_path)
    ids = IDS.clone().apply_(lambda old: new_id[old])
    after = load_model(HEAD, tmp_path)(**{**INPUTS, "input_ids": ids})
    torch.testing.assert_close(after.arc_logits, before.arc_logits)
    torch.testing.assert_close(after.relation_logits, before.relation_logits)


def test_states_and_maps_are_observed_in_every_family(
    family_name: str, make_model: Callable[..., PreTrainedModel], inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    make_model(family_name).save_pretrained(tmp_path)
    parser = with_random_head(new_model(HEAD, tmp_path, LABELS, seed=0))
    inputs = {**inputs, "word_starts": torch.tensor([[1, 3, 4], [1, 2, 3], [1, -100, -100]])}
    seen = observe(parser, inputs, hidden=(0, 4), attention=(1, 3))
    assert [state.shape for state in seen.hidden] == [(3, 7, 12)] * 2
    assert [maps.shape for maps in seen.attention] == [(3, 3, 7, 7)] * 2
    torch.testing.assert_close(seen.output.arc_logits, parser(**inputs).arc_logits)
    assert parser.config.model_type == f"{family_name}-biaffine-parser"
    assert family_of(parser.config) is FAMILIES[family_name]
