"""Observed states and maps are those of transformers' plain attention, gradients too, and nothing leaks."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.errors import ModelError
from bistil_ray.models import states
from bistil_ray.models.families import FAMILIES
from bistil_ray.models.states import align_layers, observe

HEADED = ["base", "masked-lm", "token-classification", "sequence-classification"]


def plain(model, inputs: dict[str, Tensor]):
    """What transformers itself gives with plain attention in every layer."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    model.set_attn_implementation(before)
    return output


def real(inputs: dict[str, Tensor]) -> Tensor:
    return inputs["attention_mask"].bool()


def first_tensor(output) -> Tensor:
    return output.logits if "logits" in output else output.last_hidden_state


@pytest.mark.parametrize("head", HEADED)
def test_values_are_those_of_plain_attention(make_model, inputs, family_name: str, head: str) -> None:
    model = make_model(family_name, head).double()
    expected = plain(model, inputs)
    seen = observe(model, inputs, hidden=[0, 2, 4], attention=[3, 1])
    torch.testing.assert_close(first_tensor(seen.output), first_tensor(expected), rtol=1e-12, atol=1e-12)
    for state, index in zip(seen.hidden, [0, 2, 4], strict=True):
        torch.testing.assert_close(state, expected.hidden_states[index], rtol=1e-12, atol=1e-12)
    for attention, index in zip(seen.attention, [3, 1], strict=True):
        torch.testing.assert_close(attention, expected.attentions[index], rtol=1e-12, atol=1e-14)
        assert (attention.masked_select(~real(inputs)[:, None, None, :]) == 0).all()


def test_gradients_are_those_of_plain_attention(make_model, inputs, family_name: str) -> None:
    model = make_model(family_name, "token-classification").double()
    weights = torch.rand(4, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def gradients(hidden, attention, logits: Tensor) -> list[Tensor | None]:
        model.zero_grad()
        loss = sum((state**3).mean() for state in hidden) + sum((m * weights[0]).sum() for m in attention)
        (loss + logits.square().mean()).backward()
        return [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    expected = plain(model, inputs)
    expected = gradients(
        [expected.hidden_states[i] for i in (0, 2, 4)],
        [expected.attentions[i] for i in (1, 3)],
        expected.logits,
    )
    seen = observe(model, inputs, hidden=[0, 2, 4], attention=[1, 3])
    for ours, theirs in zip(
        gradients(seen.hidden, seen.attention, seen.output.logits), expected, strict=True
    ):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_only_the_layers_asked_for_leave_the_fused_kernel(make_model, inputs, monkeypatch) -> None:
    fused = []
    original = states.sdpa_attention_forward
    monkeypatch.setattr(
        states,
        "sdpa_attention_forward",
        lambda module, *a, **k: (fused.append(module.layer_idx), original(module, *a, **k))[1],
    )
    observe(make_model("bert"), inputs, hidden=[], attention=[1, 3])
    assert fused == [0, 2]


@pytest.mark.parametrize("mask", ["absent", "all ones"])
def test_without_padding_no_mask_is_built(make_model, inputs, monkeypatch, mask: str) -> None:
    masks = []
    original = states.sdpa_attention_forward
    monkeypatch.setattr(
        states,
        "sdpa_attention_forward",
        lambda module, q, k, v, attention_mask, **rest: (
            masks.append(attention_mask),
            original(module, q, k, v, attention_mask, **rest),
        )[1],
    )
    inputs = {"input_ids": inputs["input_ids"]}
    if mask == "all ones":
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    model = make_model("bert")
    seen = observe(model, inputs, hidden=[], attention=[0])
    assert masks == [None, None, None]
    torch.testing.assert_close(seen.attention[0], plain(model, inputs).attentions[0])


def test_the_model_is_left_as_it_was(make_model, inputs) -> None:
    model = make_model("bert")
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        observe(model, inputs, hidden=[4], attention=[0])
        assert model.config._attn_implementation == implementation
    with pytest.raises(IndexError):
        observe(model, {"input_ids": torch.full((1, 3), 999)}, hidden=[], attention=[0])
    assert model.config._attn_implementation == "eager"
    assert model(**inputs).keys() == {"logits"}


def test_two_models_in_two_threads_do_not_disturb_each_other(make_model, inputs) -> None:
    models = {"bert": make_model("bert"), "xlm-roberta": make_model("xlm-roberta")}
    wishes = {"bert": [0, 3], "xlm-roberta": [2]}
    expected = {
        name: [plain(model, inputs).attentions[i] for i in wishes[name]] for name, model in models.items()
    }
    wrong: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            seen = observe(models[name], inputs, hidden=[], attention=wishes[name])
            if not all(
                torch.allclose(a, b, atol=1e-6) for a, b in zip(seen.attention, expected[name], strict=True)
            ):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_under_bf16_autocast_maps_are_float32_probabilities(make_model, inputs, family_name: str) -> None:
    model = make_model(family_name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = observe(model, inputs, hidden=[0, 4], attention=[3])
    assert seen.attention[0].dtype == torch.float32
    torch.testing.assert_close(seen.attention[0].sum(dim=-1), torch.ones(3, 3, 7), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen.attention[0], plain(model, inputs).attentions[3], rtol=0, atol=0.03)
    sum(part.float().sum() for part in (*seen.hidden, *seen.attention)).backward()


def test_a_half_precision_model_can_be_observed(make_model, inputs) -> None:
    model = make_model("bert").bfloat16()
    seen = observe(model, inputs, hidden=[4], attention=[3])
    assert seen.hidden[0].dtype == torch.bfloat16 and seen.attention[0].dtype == torch.float32


def test_maps_are_probabilities_before_dropout(make_model, inputs) -> None:
    model = make_model("bert", attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0).double().train()
    seen = observe(model, inputs, hidden=[], attention=[0])
    torch.testing.assert_close(
        seen.attention[0], plain(model.eval(), inputs).attentions[0], rtol=1e-12, atol=1e-14
    )


def test_a_wrapped_model_is_run_through_its_wrapper(make_model, inputs) -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module
            self.calls = 0

        def forward(self, **inputs: object) -> object:
            self.calls += 1
            return self.module(**inputs)

    wrapper = Wrapper(make_model("bert"))
    seen = observe(wrapper, inputs, hidden=[1], attention=[2])
    assert wrapper.calls == 1 and len(seen.attention) == 1


def test_layers_the_model_does_not_have_are_refused(make_model, inputs) -> None:
    model = make_model("bert")
    for hidden, attention in (([5], []), ([-1], []), ([], [4])):
        with pytest.raises(ValueError, match="a model of 4 layers"):
            observe(model, inputs, hidden=hidden, attention=attention)


def test_a_model_with_another_kind_of_attention_is_refused(make_model, inputs, monkeypatch) -> None:
    model = make_model("bert")
    monkeypatch.setattr(
        type(FAMILIES["bert"].layers(model)[1].attention.self), "forward", lambda self, x, *a, **k: (x, None)
    )
    with pytest.raises(ModelError, match="attention of a BertForMaskedLM cannot be observed"):
        observe(model, inputs, hidden=[], attention=[1])


def test_alignment_is_every_fth_state_and_the_last_map_of_each_group() -> None:
    assert align_layers(12, 4) == ((0, 1, 2, 3, 4), (0, 3, 6, 9, 12), (0, 1, 2, 3), (2, 5, 8, 11))
    assert align_layers(6, 3, top_only=True) == ((3,), (6,), (2,), (5,))
    with pytest.raises(ModelError, match="allowed: 1, 2, 3, 6"):
        align_layers(6, 4)
