"""Observed states and maps are those of transformers' plain attention, gradients too, and nothing leaks."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.losses.attention import attention_map
from bistil_ray.models import states
from bistil_ray.models.families import FAMILIES
from bistil_ray.models.states import observe

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


def rows(tensor: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """What belongs to real tokens, of logits and states (B, T, ...) or maps (B, H, T, ...).

    What padding sees is nobody's business: where all that it may look at is masked, kernels disagree.
    """
    return (tensor.transpose(1, 2) if tensor.dim() == 4 else tensor)[real(inputs)]


def precise(model: PreTrainedModel) -> tuple[PreTrainedModel, dict[str, float]]:
    """A model in float64 and how near its numbers must be; ModernBERT's plain attention knows float32 alone."""
    if model.config.model_type == "modernbert":
        return model, {"rtol": 1e-3, "atol": 1e-5}
    return model.double(), {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("head", HEADED)
def test_values_are_those_of_plain_attention(make_model, inputs, family_name: str, head: str) -> None:
    model, close = precise(make_model(family_name, head))
    expected = plain(model, inputs)
    seen = observe(model, inputs, hidden=[0, 2, 4], attention=[3, 1], vectors=[2])
    ours, theirs = first_tensor(seen.output), first_tensor(expected)
    if head != "sequence-classification":
        ours, theirs = rows(ours, inputs), rows(theirs, inputs)
    torch.testing.assert_close(ours, theirs, **close)
    for state, index in zip(seen.hidden, [0, 2, 4], strict=True):
        torch.testing.assert_close(rows(state, inputs), rows(expected.hidden_states[index], inputs), **close)
    for attention, index in zip(seen.attention, [3, 1], strict=True):
        assert attention.dtype == model.dtype
        theirs = expected.attentions[index].to(attention.dtype)
        torch.testing.assert_close(rows(attention, inputs), rows(theirs, inputs), **close)
        to_padding = attention.masked_fill(real(inputs)[:, None, None, :], 0)
        assert (rows(to_padding, inputs) == 0).all()


def test_local_attention_is_observed_as_it_is(make_model, inputs) -> None:
    model = make_model("modernbert", layer_types=["full_attention", "sliding_attention"] * 2)
    for mask in (inputs["attention_mask"], torch.ones_like(inputs["attention_mask"])):
        batch = {**inputs, "attention_mask": mask}
        near, far = observe(model, batch, hidden=[], attention=[1, 2]).attention
        places = torch.arange(7)
        outside = (places[:, None] - places).abs() > 2
        assert (near[0][:, outside] == 0).all() and (near[0][:, ~outside] > 0).all()
        assert (far[0] > 0).all()


@pytest.mark.parametrize("both", [True, False])
def test_maps_are_the_softmax_of_scaled_products(make_model, inputs, family_name: str, both: bool) -> None:
    settings = {"relative_attention": False, "pos_att_type": []} if family_name == "deberta-v2" else {}
    model = make_model(family_name, local_attention=40, **settings)
    vectors = observe(model, inputs, [], attention=[1, 3] if both else [], vectors=[3, 1]).vectors
    assert len(vectors) == 2
    for layer, (query, key, value, _) in zip([3, 1], vectors, strict=True):
        assert query.shape == key.shape == value.shape == (3, 3, 7, 4)
        scores = (query @ key.transpose(2, 3) / 2).masked_fill(~real(inputs)[:, None, None, :], -torch.inf)
        ours, theirs = scores.softmax(-1), plain(model, inputs).attentions[layer]
        torch.testing.assert_close(rows(ours, inputs), rows(theirs, inputs), rtol=1e-4, atol=1e-5)


def test_vectors_and_their_mask_make_the_maps(make_model, inputs, family_name: str) -> None:
    if FAMILIES[family_name].own_attention is not None:
        pytest.skip("its attention adds to the products what only it knows")
    local = {"layer_types": ["full_attention", "sliding_attention"] * 2} if family_name == "modernbert" else {}
    model = make_model(family_name, **local)
    for mask in (inputs["attention_mask"], torch.ones_like(inputs["attention_mask"])):
        seen = observe(model, {**inputs, "attention_mask": mask}, [], attention=[0, 1, 3], vectors=[0, 1, 3])
        for vectors, expected in zip(seen.vectors, seen.attention, strict=True):
            ours = attention_map(vectors.query, vectors.key, vectors.mask)
            torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


def test_gradients_reach_the_weights_behind_vectors(make_model, inputs, family_name: str) -> None:
    model = make_model(family_name, "base")
    ((query, key, value, _),) = observe(model, inputs, hidden=[], attention=[], vectors=[2]).vectors
    for part in (query, key, value):
        model.zero_grad()
        part.square().sum().backward(retain_graph=True)
        layers = FAMILIES[family_name].layers(model)
        assert any(p.grad is not None and p.grad.any() for p in layers[2].parameters())
        assert all(p.grad is None for p in layers[3].parameters())


def test_what_a_layer_shares_with_positions_is_seen_of_the_text(make_model, inputs) -> None:
    model = make_model("deberta-v2", share_att_key=True, position_buckets=7)
    hidden, (vectors,) = observe(model, inputs, hidden=[1], attention=[], vectors=[1])[1::2]
    attention = FAMILIES["deberta-v2"].attentions(model)[1]
    for vector, name in zip(vectors[:3], ("query_proj", "key_proj", "value_proj"), strict=True):
        expected = attention.get_submodule(name)(hidden[0])
        torch.testing.assert_close(vector.transpose(1, 2).flatten(2), expected)


def test_gradients_are_those_of_plain_attention(make_model, inputs, family_name: str) -> None:
    model, close = precise(make_model(family_name, "token-classification"))
    weights = torch.rand(7, 7, dtype=model.dtype, generator=torch.Generator().manual_seed(0))

    def gradients(hidden, attention, logits: Tensor) -> list[Tensor | None]:
        model.zero_grad()
        loss = sum((rows(state, inputs) ** 3).mean() for state in hidden)
        loss = loss + sum((rows(m * weights, inputs)).sum() for m in attention)
        (loss + rows(logits, inputs).square().mean()).backward()
        return [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    expected = plain(model, inputs)
    expected = gradients(
        [expected.hidden_states[i] for i in (0, 2, 4)],
        [expected.attentions[i] for i in (1, 3)],
        expected.logits,
    )
    seen = observe(model, inputs, hidden=[0, 2, 4], attention=[1, 3])
    for ours, theirs in zip(gradients(seen.hidden, seen.attention, seen.output.logits), expected, strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, **close)


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
    expected = {name: [plain(model, inputs).attentions[i] for i in wishes[name]] for name, model in models.items()}
    wrong: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            seen = observe(models[name], inputs, hidden=[], attention=wishes[name])
            if not all(torch.allclose(a, b, atol=1e-6) for a, b in zip(seen.attention, expected[name], strict=True)):
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
    ours, theirs = (rows(maps, inputs) for maps in (seen.attention[0], plain(model, inputs).attentions[3]))
    # The processor's autocast leaves DeBERTa's own softmax in half precision.
    sharp = 1e-2 if family_name == "deberta-v2" else 1e-6
    torch.testing.assert_close(ours.sum(dim=-1), torch.ones_like(ours.sum(dim=-1)), rtol=0, atol=sharp)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)
    sum(part.float().sum() for part in (*seen.hidden, *seen.attention)).backward()


def test_a_half_precision_model_can_be_observed(make_model, inputs) -> None:
    model = make_model("bert").bfloat16()
    seen = observe(model, inputs, hidden=[4], attention=[3])
    assert seen.hidden[0].dtype == torch.bfloat16 and seen.attention[0].dtype == torch.float32


def test_maps_are_probabilities_before_dropout(make_model, inputs) -> None:
    model = make_model("bert", attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0).double().train()
    seen = observe(model, inputs, hidden=[], attention=[0])
    torch.testing.assert_close(seen.attention[0], plain(model.eval(), inputs).attentions[0], rtol=1e-12, atol=1e-14)


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


def test_a_map_rounded_at_once_is_the_exact_one_rounded_and_has_its_gradients() -> None:
    drawn = torch.Generator().manual_seed(0)
    found = {}
    for dtype in (torch.bfloat16, None):
        vectors = [torch.randn(2, 3, 9, 4, generator=drawn.manual_seed(n)).bfloat16().requires_grad_() for n in (1, 2)]
        map_BHTT = attention_map(*vectors, None, dtype=dtype)
        gradients = torch.autograd.grad(map_BHTT.float().square().sum(), vectors)
        found[dtype] = map_BHTT, torch.stack(gradients).float()
    assert torch.equal(found[torch.bfloat16][0], found[None][0].bfloat16())
    torch.testing.assert_close(found[torch.bfloat16][1], found[None][1], rtol=0.02, atol=0.01)
