"""What differs between families of encoders.

A family is a ``Family`` in ``FAMILIES``. To add one, write down where its parts are; everything else in the
project asks the family. A family whose attention goes through transformers' attention interface needs no more
than that; for another say in ``OwnAttention`` where its parts come out (``models/states.py`` listens there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import ModelError
from .layers import Alignment

# What a model may carry on top of its encoder, and how transformers names the class after the family's stem.
HEADS = {
    "base": "Model",
    "masked-lm": "ForMaskedLM",
    "token-classification": "ForTokenClassification",
    "sequence-classification": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
}

# What the model types of a family's dependency parsers end in, whose configurations are the family's otherwise.
PARSER = "-biaffine-parser"


class OwnAttention(NamedTuple):
    """Modules inside an attention that computes by itself: it calls the first three with the hidden states
    before it uses them otherwise, and hands its probabilities (BHTT) to the last.
    """

    query: str
    key: str
    value: str
    probabilities: str


@dataclass(frozen=True)
class Family:
    """Where the parts of one family's models are.

    ``name`` is the ``model_type`` of its configurations, ``class_stem`` the beginning of its class names,
    ``prefix`` the attribute of a headed model that holds the encoder (and so the beginning of the encoder's
    parameter names). ``layers_at`` and ``embeddings_at`` are places inside the encoder, ``attention_at`` one
    inside a layer. ``output_at`` is the layer of a masked language model onto the vocabulary, and
    ``output_biases`` are parameters beside it with one entry per token. ``head_dense_at`` and ``head_norm_at``
    come before it in the head.

    ``width_between`` is the configuration key of the units between the two matrices of a layer's feed-forward
    network, ``dropout_keys`` are those that a student has at 0, ``layer_keys`` those that hold a list with one
    entry per layer. ``positions_follow_padding``: positions are counted from the pad id + 1, as in
    RoBERTa. ``first_layer_stays``: the first layer is built unlike the others, so a student begins with it.
    ``own_attention`` is for attention that does not go through transformers' interface. ``head_settings`` are
    configurations to try until a checkpoint's masked-LM head is found; ``headless`` is the class of
    checkpoints that have none.
    """

    name: str
    class_stem: str
    prefix: str
    layers_at: str = "encoder.layer"
    embeddings_at: str = "embeddings"
    attention_at: str = "attention.self"
    output_at: str = "cls.predictions.decoder"
    output_biases: tuple[str, ...] = ("cls.predictions.bias",)
    head_dense_at: str = "cls.predictions.transform.dense"
    head_norm_at: str = "cls.predictions.transform.LayerNorm"
    width_between: str = "intermediate_size"
    dropout_keys: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    layer_keys: tuple[str, ...] = ()
    positions_follow_padding: bool = False
    first_layer_stays: bool = False
    own_attention: OwnAttention | None = None
    head_settings: tuple[Mapping[str, Any], ...] = ({},)
    headless: str | None = None

    def encoder(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model without its head; the model itself if it has none."""
        return getattr(model, self.prefix, model)

    def embeddings(self, model: PreTrainedModel) -> nn.Module:
        """The module that adds word, position and type embeddings."""
        return self.encoder(model).get_submodule(self.embeddings_at)

    def layers(self, model: PreTrainedModel) -> nn.ModuleList:
        """The encoder's layers, first to last."""
        layers = self.encoder(model).get_submodule(self.layers_at)
        assert isinstance(layers, nn.ModuleList)
        return layers

    def attentions(self, model: PreTrainedModel) -> list[nn.Module]:
        """The module of each layer that computes attention, first to last."""
        return [layer.get_submodule(self.attention_at) for layer in self.layers(model)]

    def output(self, model: PreTrainedModel) -> nn.Linear | None:
        """The layer onto the vocabulary; None without a masked-LM head, or if that multiplies by the embeddings."""
        return dict(model.named_modules()).get(self.output_at)

    def vocabulary_parameters(self, model: PreTrainedModel) -> list[Tensor]:
        """The parameters with one row for each token, each once, however many names it is tied to."""
        embedding: Any = model.get_input_embeddings()
        output = self.output(model)
        named = dict(model.named_parameters(remove_duplicate=False))
        found = [embedding.weight, *(named[name] for name in self.output_biases if name in named)]
        if output is not None:
            found += output.parameters()
        return list({id(parameter): parameter for parameter in found}.values())

    def parameter_prefix(self, model: PreTrainedModel) -> str:
        """What the encoder's parameter names begin with in ``model``: "bert." with a head, "" without."""
        return f"{self.prefix}." if hasattr(model, self.prefix) else ""

    def has_pooler(self, model: PreTrainedModel) -> bool:
        """Whether the encoder ends in a pooler (masked-LM and token models have none)."""
        return getattr(self.encoder(model), "pooler", None) is not None

    def drop_pooler(self, model: PreTrainedModel) -> None:
        """Remove the encoder's pooler, in place."""
        setattr(self.encoder(model), "pooler", None)  # noqa: B010

    def first_position(self, config: PreTrainedConfig) -> int:
        """The row of the position embeddings that the first token of a text gets."""
        return config.pad_token_id + 1 if self.positions_follow_padding else 0

    def longest_text(self, config: PreTrainedConfig) -> int:
        """The number of tokens that a model of this configuration has positions for."""
        return int(config.max_position_embeddings) - self.first_position(config)

    def fitting_layers(self, mapping: Sequence[int]) -> tuple[int, ...]:
        """The teacher layers a student is copied from, with the first one changed to 0 where it must be."""
        return (0, *mapping[1:]) if self.first_layer_stays else tuple(mapping)

    def comparable_maps(self, student: PreTrainedConfig, teacher: PreTrainedConfig, pairs: Alignment) -> Alignment:
        """``pairs`` without maps of unlike layers: what looks near cannot copy what looks far."""
        maps = [
            (ours, theirs)
            for ours, theirs in zip(pairs.student_attention, pairs.teacher_attention, strict=True)
            if all(getattr(student, key)[ours] == getattr(teacher, key)[theirs] for key in self.layer_keys)
        ]
        return pairs._replace(
            student_attention=tuple(ours for ours, _ in maps), teacher_attention=tuple(theirs for _, theirs in maps)
        )

    def head_class(self, head: str) -> type[PreTrainedModel]:
        """The class of this family with the given head, a key of ``HEADS``."""
        return getattr(transformers, self.class_stem + HEADS[head])


BERT = Family(name="bert", class_stem="Bert", prefix="bert")
ROBERTA = Family(
    name="roberta",
    class_stem="Roberta",
    prefix="roberta",
    output_at="lm_head.decoder",
    output_biases=("lm_head.bias",),
    head_dense_at="lm_head.dense",
    head_norm_at="lm_head.layer_norm",
    positions_follow_padding=True,
)
XLM_ROBERTA = replace(ROBERTA, name="xlm-roberta", class_stem="XLMRoberta")
DISTILBERT = Family(
    name="distilbert",
    class_stem="DistilBert",
    prefix="distilbert",
    layers_at="transformer.layer",
    attention_at="attention",
    output_at="vocab_projector",
    output_biases=(),
    head_dense_at="vocab_transform",
    head_norm_at="vocab_layer_norm",
    width_between="hidden_dim",
    dropout_keys=("dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout"),
)
ELECTRA = Family(
    name="electra",
    class_stem="Electra",
    prefix="electra",
    output_at="generator_lm_head",
    output_biases=(),
    head_dense_at="generator_predictions.dense",
    head_norm_at="generator_predictions.LayerNorm",
    headless="ElectraForPreTraining",
)
DEBERTA_V2 = Family(
    name="deberta-v2",
    class_stem="DebertaV2",
    prefix="deberta",
    output_biases=("cls.predictions.bias", "lm_predictions.lm_head.bias"),
    dropout_keys=("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout"),
    own_attention=OwnAttention("query_proj", "key_proj", "value_proj", "dropout"),
    # Microsoft's checkpoints hold a head that multiplies by the embeddings, which their configurations do not say.
    head_settings=({}, {"legacy": False}),
)
MODERNBERT = Family(
    name="modernbert",
    class_stem="ModernBert",
    prefix="model",
    layers_at="layers",
    attention_at="attn",
    output_at="decoder",
    output_biases=(),
    head_dense_at="head.dense",
    head_norm_at="head.norm",
    dropout_keys=("attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout"),
    layer_keys=("layer_types",),
    # It has no norm before its attention, for the embeddings end in one.
    first_layer_stays=True,
)
FAMILIES = {family.name: family for family in (BERT, ROBERTA, XLM_ROBERTA, DISTILBERT, ELECTRA, DEBERTA_V2, MODERNBERT)}


def family_of(config: PreTrainedConfig) -> Family:
    """The family a configuration belongs to; ModelError names the supported ones if it is none of them."""
    name = config.model_type.removesuffix(PARSER)
    if name not in FAMILIES:
        raise ModelError(unsupported(config.model_type))
    return FAMILIES[name]


def unsupported(model_type: str) -> str:
    """Say that models of a type cannot be used, and which can."""
    return f"model type {model_type!r} is not supported; allowed: {', '.join(sorted(FAMILIES))} (--teachers)"
