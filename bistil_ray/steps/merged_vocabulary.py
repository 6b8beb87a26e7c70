"""The vocabulary of a student of several teachers: what the packs of its languages kept, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..data.masking import MaskingVocabulary
from ..models.loading import load_tokenizer
from ..vocab.remapped import merged_tokenizer, remapped_tokenizer
from ..vocab.trim import trim_tokenizer
from ..vocab.union import Union, unite
from .pack import kept_tokens


@dataclass(frozen=True)
class MergedVocabulary:
    """The union of the teachers' vocabularies, each cut to the tokens that any of its languages keeps.

    ``kept`` are the ids of each teacher, by its place, that stay, ascending, and ``cut`` its tokenizer with only these;
    the first one's ids are the student's. By language, ``packed`` is the tokenizer of its pack and ``maps`` gives the
    student's id of each of the pack's: int64, injective.
    """

    kept: Mapping[str, np.ndarray]
    cut: Mapping[str, PreTrainedTokenizerFast]
    union: Union
    packed: Mapping[str, PreTrainedTokenizerFast]
    maps: Mapping[str, np.ndarray]

    def masking(self, lang: str) -> MaskingVocabulary:
        """What may be masked in a language's text, in the student's ids: the ordinary tokens of its pack."""
        ids, theirs = self.maps[lang], MaskingVocabulary.from_tokenizer(self.packed[lang])
        others = np.setdiff1d(np.arange(self.union.size), ids[theirs.ordinary_ids.numpy()])
        return MaskingVocabulary(self.union.size, int(ids[theirs.mask_id]), tuple(others.tolist()))

    def tokenizers(self) -> dict[str, PreTrainedTokenizerFast]:
        """The tokenizer of each language: it splits text as the pack did, into the student's ids."""
        return {
            lang: remapped_tokenizer(tokenizer, self.maps[lang], self.union.size)
            for lang, tokenizer in self.packed.items()
        }

    def tokenizer_for_all(self) -> PreTrainedTokenizerFast | None:
        """One tokenizer of the whole vocabulary, if the teachers' kinds allow it."""
        return merged_tokenizer(list(self.cut.values()), self.union)


def merge_vocabularies(
    packs: Mapping[str, Path], teacher_of: Mapping[str, str], places: Sequence[str]
) -> MergedVocabulary:
    """Put together what the packs of the languages kept of their teachers' tokens.

    ``teacher_of`` is the place of each language's teacher, ``places`` are all of these, the first of which keeps its
    ids.
    """
    by_language = {lang: kept_tokens(pack) for lang, pack in packs.items()}
    kept = {
        place: np.unique(np.concatenate([ids for lang, ids in by_language.items() if teacher_of[lang] == place]))
        for place in places
    }
    cut = {place: trim_tokenizer(load_tokenizer(place), ids) for place, ids in kept.items()}
    union = unite(list(cut.values()))
    new_ids = dict(zip(places, union.maps, strict=True))
    maps = {lang: new_ids[place][np.searchsorted(kept[place], by_language[lang])] for lang, place in teacher_of.items()}
    packed = {lang: load_tokenizer(pack / "tokenizer") for lang, pack in packs.items()}
    return MergedVocabulary(kept, cut, union, packed, maps)
