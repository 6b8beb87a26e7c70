"""Dependency parsers: an encoder of any family under a biaffine head over words (Dozat and Manning, 2017).

As in the published code, the head is nothing but the two biaffine maps, and the root is the sentence's first marker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .families import FAMILIES, PARSER, Family, family_of

NO_WORD = -1e4
"""The arc logit of a head that is no word: its probability is 0 in any precision and at any usual temperature."""


@dataclass
class ParserOutput(ModelOutput):
    """What a parser gives: scores of each word's heads (0 the root, i word i of the sentence) and their relations.

    ``arc_logits`` (B, W, W+1) and ``relation_logits`` (B, W, W+1, R), by dependent and head.
    """

    arc_logits: Tensor | None = None
    relation_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class Biaffine(nn.Module):
    """Scores of pairs of vectors d and h for each output r: [d; 1]' U_r h, with ``head_bias`` [d; 1]' U_r [h; 1]."""

    def __init__(self, size: int, outputs: int, head_bias: bool) -> None:
        super().__init__()
        self.outputs, self.head_bias = outputs, head_bias
        self.weight = nn.Parameter(torch.empty(outputs * (size + head_bias), size))
        self.bias = nn.Parameter(torch.empty(outputs * (size + head_bias)))

    def forward(self, dependents_BWD: Tensor, heads_BPD: Tensor) -> Tensor:
        """Score each of the dependents with each of the possible heads: (B, W, P, outputs)."""
        if self.head_bias:
            heads_BPD = functional.pad(heads_BPD, (0, 1), value=1.0)
        wanted_BWRD = functional.linear(dependents_BWD, self.weight, self.bias).unflatten(-1, (self.outputs, -1))
        return torch.einsum("bwrd,bpd->bwpr", wanted_BWRD, heads_BPD)


class BiaffineParser(PreTrainedModel):
    """The part of parsers that is the same in all families; ``PARSERS`` has the classes to use.

    The encoder is in the attribute ``base_model_prefix`` names, as in the models transformers has of its family. It has
    no pooler.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        family = family_of(config)
        encoder = family.head_class("base")(config)
        if family.has_pooler(encoder):
            family.drop_pooler(encoder)
        setattr(self, self.base_model_prefix, encoder)
        self.arcs = Biaffine(config.hidden_size, 1, head_bias=False)
        self.relations = Biaffine(config.hidden_size, config.num_labels, head_bias=True)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_starts: Tensor | None = None,
        **options: Any,  # noqa: ANN401  (whatever the encoder takes)
    ) -> ParserOutput:
        """Score heads and relations of all words.

        ``word_starts`` (B, W+1) says at which position each word starts, and at last where the last one ends; shorter
        sentences are filled up with negative numbers. Without it each position between the first and the last is a
        word. A word without sub-words cannot be a head, and its own scores mean nothing.
        """
        if word_starts is None:
            word_starts = torch.arange(1, input_ids.shape[1], device=input_ids.device).expand(len(input_ids), -1)
        seen = self.base_model(input_ids=input_ids, attention_mask=attention_mask, **options)
        hidden_BTD = seen.last_hidden_state
        words_BWD, present_BW = word_vectors(hidden_BTD, word_starts)
        heads_BPD = torch.cat([hidden_BTD[:, :1], words_BWD], dim=1)
        absent_BP = functional.pad(~present_BW, (1, 0), value=False)
        arcs_BWP = self.arcs(words_BWD, heads_BPD).squeeze(-1)
        return ParserOutput(
            arc_logits=arcs_BWP.masked_fill(absent_BP[:, None], NO_WORD),
            relation_logits=self.relations(words_BWD, heads_BPD),
            hidden_states=seen.hidden_states,
            attentions=seen.attentions,
        )

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Biaffine):
            # As in the published code: scores are sums over pairs of units, and random ones start out large and wrong.
            init.zeros_(module.weight)
            init.zeros_(module.bias)


def word_vectors(hidden_BTD: Tensor, word_starts: Tensor) -> tuple[Tensor, Tensor]:
    """Average each word's sub-words: (B, W, D), zero for a word without any, and which words have some, bool (B, W).

    ``word_starts`` (B, W+1) is that of ``BiaffineParser.forward``.
    """
    places_T = torch.arange(hidden_BTD.shape[1], device=hidden_BTD.device)
    inside_BWT = (word_starts[:, :-1, None] <= places_T) & (places_T < word_starts[:, 1:, None])
    pieces_BW = inside_BWT.sum(-1)
    sums_BWD = inside_BWT.to(hidden_BTD.dtype) @ hidden_BTD
    return sums_BWD / pieces_BW.clamp(min=1)[..., None], pieces_BW > 0


class AutoBiaffineParser:
    """Makes parsers of the right class, as transformers' Auto classes make models with other heads."""

    @staticmethod
    def from_pretrained(
        name: str | Path,
        id2label: Mapping[int, str] | None = None,
        label2id: Mapping[str, int] | None = None,
        **options: Any,  # noqa: ANN401  (those of PreTrainedModel.from_pretrained)
    ) -> Any:  # noqa: ANN401  (with output_loading_info a pair)
        """Load a parser; from an encoder or a model with another head make one whose head is new, for the labels given.

        ModelError if the family is not supported.
        """
        saved = AutoConfig.from_pretrained(name, trust_remote_code=False)
        parser = PARSERS[family_of(saved).name]
        config = parser.config_class.from_dict({**saved.to_dict(), "model_type": parser.config_class.model_type})
        if id2label is not None and label2id is not None:
            config.id2label, config.label2id = dict(id2label), dict(label2id)
        return parser.from_pretrained(name, config=config, **options)


def _parser_class(family: Family) -> type[BiaffineParser]:
    """Make a family's class of parsers.

    Its configuration is the family's own under another model type, so that all that reads or changes configurations
    works as for any model of the family; from the family come the first weights and which attention is supported.
    """
    base: Any = family.head_class("base")
    stem = f"{family.class_stem}BiaffineParser"
    config = type(f"{stem}Config", (base.config_class,), {"model_type": family.name + PARSER, "__module__": __name__})
    pretrained = getattr(transformers, f"{family.class_stem}PreTrainedModel")
    about = {"config_class": config, "base_model_prefix": family.prefix, "__module__": __name__}
    return type(stem, (BiaffineParser, pretrained), about)


PARSERS: Mapping[str, type[BiaffineParser]] = {name: _parser_class(family) for name, family in FAMILIES.items()}
"""The class of parsers of each family."""

# Done at import, as nowhere else in the project: transformers finds classes that are not its own in no other way, and
# AutoConfig and AutoModel shall load a parser's folder without the remote code such a folder would otherwise need.
for _parser in PARSERS.values():
    AutoConfig.register(_parser.config_class.model_type, _parser.config_class)
    AutoModel.register(_parser.config_class, _parser)
