"""The state of a fast tokenizer (``tokenizer.json``) as plain data: what it holds, and it with other ids.

A state is the dictionary that ``tokenizers`` writes: the model (kind, vocabulary, merges), the added tokens,
the post-processor that puts the sentence markers, padding. Everything in it that is a token id is renumbered
together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..errors import ModelError

State = dict[str, Any]

SUPPORTED = ("WordPiece", "Unigram", "BPE")
_POST_PROCESSORS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence")


def backend_state(tokenizer: PreTrainedTokenizerBase) -> State:
    """Give a fresh copy of the state of a fast tokenizer.

    Raises ModelError where there is none (a slow tokenizer) or its kind is not WordPiece, Unigram or BPE.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{type(tokenizer).__name__} of {tokenizer.name_or_path!r} is not a fast tokenizer "
            "(tokenizer.json), which the vocabulary cut needs"
        )
    state: State = json.loads(backend.to_str())
    kind = state["model"].get("type")
    if kind not in SUPPORTED:
        raise ModelError(f"a tokenizer of kind {kind!r} cannot be trimmed (supported: {', '.join(SUPPORTED)})")
    return state


def token_ids(state: State) -> dict[str, int]:
    """Give the id of every token, the added ones included."""
    vocabulary = state["model"]["vocab"]
    if isinstance(vocabulary, list):
        ids = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    else:
        ids = dict(vocabulary)
    ids.update((token["content"], token["id"]) for token in state["added_tokens"])
    return ids


def convention(state: State) -> str:
    """Say how pieces are written: where two tokenizers agree in it, equal pieces stand for the same part of a text.

    WordPiece marks pieces inside a word, SentencePiece those that begin one, byte-level BPE writes bytes as letters.
    """
    model = state["model"]
    marks = [model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""]
    spelling = "bytes" if "ByteLevel" in _types(state["pre_tokenizer"]) else "characters"
    return " ".join([model["type"], spelling, *marks])


def unknown_id(state: State) -> int | None:
    """Give the id that stands for unknown text, None where the model has none (byte-level BPE)."""
    model = state["model"]
    if model["type"] == "Unigram":
        unk_id: int | None = model["unk_id"]
        return unk_id
    return token_ids(state).get(model["unk_token"])


def marker_ids(state: State) -> set[int]:
    """Give the ids that the post-processor puts around a text."""
    ids: set[int] = set()
    for part in _post_processors(state["post_processor"]):
        for token in part.get("special_tokens", {}).values():
            ids.update(token["ids"])
        ids.update(part[role][1] for role in ("sep", "cls") if role in part)
    return ids


def character_ids(state: State) -> set[int]:
    """Give the ids of the pieces of one character, with or without a boundary or continuation mark.

    For a byte-level vocabulary these are its symbols for the 256 bytes. Byte-fallback pieces (``<0x0A>``)
    count too. With them kept, text that the whole vocabulary could spell never turns into unknown.
    """
    model = state["model"]
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    boundary = "" if "ByteLevel" in _types(state["pre_tokenizer"]) else "▁"
    ids = set()
    for piece, index in token_ids(state).items():
        if model.get("byte_fallback") and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            ids.add(index)
        bare = piece.removeprefix(prefix).removesuffix(suffix)
        if len(bare) == 1 or len(piece) == 1 or (len(bare) == 2 and bare[0] == boundary):
            ids.add(index)
    return ids


def renumbered(state: State, new_id: Mapping[int, int]) -> State:
    """Give the state with only the tokens whose old id ``new_id`` knows, each at its new id.

    ``state`` is not changed. The ids of the unknown token, the markers and the added tokens must all be
    known. A merge of a BPE model stays when both its parts and its result do.
    """
    cut = dict(state)
    cut["model"] = _renumbered_model(state["model"], new_id)
    cut["added_tokens"] = sorted(
        ({**token, "id": new_id[token["id"]]} for token in state["added_tokens"]),
        key=lambda token: token["id"],
    )
    cut["post_processor"] = _renumbered_post_processor(state["post_processor"], new_id)
    if state["padding"] is not None:
        cut["padding"] = {**state["padding"], "pad_id": new_id[state["padding"]["pad_id"]]}
    return cut


def merge_result(model: Mapping[str, Any], left: str, right: str) -> str:
    """Give the piece that a BPE merge makes of two others."""
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _renumbered_model(model: Mapping[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    cut = dict(model)
    if isinstance(model["vocab"], list):
        cut["vocab"] = [entry for index, entry in enumerate(model["vocab"]) if index in new_id]
        if model["unk_id"] is not None:
            cut["unk_id"] = new_id[model["unk_id"]]
        return cut
    kept = sorted((new_id[old], piece) for piece, old in model["vocab"].items() if old in new_id)
    vocabulary = {piece: new for new, piece in kept}
    cut["vocab"] = vocabulary
    if "merges" in model:
        cut["merges"] = [
            [left, right]
            for left, right in model["merges"]
            if left in vocabulary and right in vocabulary and merge_result(model, left, right) in vocabulary
        ]
    return cut


def _renumbered_post_processor(part: State | None, new_id: Mapping[int, int]) -> State | None:
    if part is None:
        return None
    cut = dict(part)
    if part["type"] == "Sequence":
        cut["processors"] = [_renumbered_post_processor(inner, new_id) for inner in part["processors"]]
    for role in ("sep", "cls"):
        if role in part:
            cut[role] = [part[role][0], new_id[part[role][1]]]
    if "special_tokens" in part:
        cut["special_tokens"] = {
            name: {**token, "ids": [new_id[old] for old in token["ids"]]}
            for name, token in part["special_tokens"].items()
        }
    return cut


def _post_processors(part: State | None) -> Iterator[State]:
    """Walk through a post-processor and the ones inside it."""
    if part is None:
        return
    if part["type"] not in _POST_PROCESSORS:
        raise ModelError(
            f"a tokenizer with the post-processor {part['type']!r} cannot be trimmed "
            f"(supported: {', '.join(_POST_PROCESSORS)})"
        )
    yield part
    for inner in part.get("processors", ()):
        yield from _post_processors(inner)


def _types(part: State | None) -> set[str]:
    """Give the types of a pre-tokenizer and of the ones inside it."""
    if part is None:
        return set()
    return {part["type"]}.union(*(_types(inner) for inner in part.get("pretokenizers", ())))
