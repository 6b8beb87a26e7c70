"""The vocabulary cut: which tokens of the teacher stay, and the teacher's tokenizer with only these.

The rule is BISTIL's: a token stays when its relative frequency reaches the threshold in any one of the
corpora. New ids are the ranks of the old ones, so cutting rows ``kept`` out of an embedding matrix fits the
trimmed tokenizer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..errors import ConfigError, ModelError
from .backend import State, backend_state, character_ids, marker_ids, renumbered, token_ids, unknown_id
from .merges import closed_under_merges


def kept_ids(counts: Sequence[np.ndarray], threshold: float, always: Iterable[int]) -> np.ndarray:
    """Give the ascending old ids (int64) of the tokens that stay.

    ``counts`` holds one array (V,) of token counts per corpus. A token stays when its count divided by its
    corpus's total is at least ``threshold`` in one corpus, or when it is in ``always``. An empty corpus adds
    nothing. Raises ConfigError for a threshold outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"vocabulary threshold {threshold} is not a share: it must lie in [0, 1] (--threshold)")
    frequent = [np.flatnonzero(corpus / corpus.sum() >= threshold) for corpus in counts if corpus.sum() > 0]
    return np.unique(np.concatenate([*frequent, np.array(sorted(always), dtype=np.int64)]).astype(np.int64))


def always_kept_ids(tokenizer: PreTrainedTokenizerBase, keep_characters: bool = False) -> set[int]:
    """Give the old ids that stay however rare: special, added and unknown tokens and sentence markers.

    With ``keep_characters`` also every piece of a single character (for byte-level vocabularies: of a byte),
    so that no text turns into unknown that the whole vocabulary could spell.
    """
    return _always_kept(tokenizer, backend_state(tokenizer), keep_characters)


def id_table(kept: np.ndarray, vocab_size: int) -> np.ndarray:
    """Give the new id of every old one: int64 of shape (V,), -1 for a token that is dropped."""
    table = np.full(vocab_size, -1, dtype=np.int64)
    table[kept] = np.arange(len(kept))
    return table


def trim_tokenizer(tokenizer: PreTrainedTokenizerFast, kept: np.ndarray) -> PreTrainedTokenizerFast:
    """Give the tokenizer with only the tokens ``kept`` (ascending old ids), numbered by their rank.

    Works for WordPiece, Unigram and BPE; markers, added and special tokens and padding are renumbered, the
    settings stay. The class stays too, unless it would rebuild itself in another way when loaded (some
    classes fix the place of their special tokens); then it is the general fast tokenizer, which AutoTokenizer
    loads just as well.

    Text whose pieces are all kept is split as before. Other text falls into smaller pieces, or into unknown
    where their characters are not kept.

    Raises ModelError when two tokens share an id, or ``kept`` is not ascending, holds an id that is no token,
    lacks one of ``always_kept_ids``, or lacks pieces that a kept BPE piece is merged from (``merge_closure``
    adds them).
    """
    state = backend_state(tokenizer)
    _check_kept(tokenizer, state, kept)
    new_id = {old: new for new, old in enumerate(kept.tolist())}
    return tokenizer_of_state(tokenizer, renumbered(state, new_id), new_id)


def tokenizer_of_state(
    tokenizer: PreTrainedTokenizerFast, state: State, new_id: Mapping[int, int]
) -> PreTrainedTokenizerFast:
    """Give the tokenizer with another state; ``new_id`` gives the ids there of its own old ones.

    Its class stays if it loads the state as written, else it is the general fast tokenizer. ModelError if that does
    not.
    """
    expected = token_ids(state)
    written = _as_loaded(state)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_files(tokenizer, written, new_id, folder)
        for kind in (type(tokenizer), PreTrainedTokenizerFast):
            loaded: PreTrainedTokenizerFast = kind.from_pretrained(folder)
            loaded_state = backend_state(loaded)
            if loaded_state == written and token_ids(loaded_state) == expected:
                loaded.name_or_path = tokenizer.name_or_path
                return loaded
    raise ModelError(f"the tokenizer of {tokenizer.name_or_path!r} cannot be cut: its files do not load as written")


def _always_kept(tokenizer: PreTrainedTokenizerBase, state: State, keep_characters: bool) -> set[int]:
    ids = token_ids(state)
    always = {ids[token] for token in tokenizer.all_special_tokens if token in ids}
    always.update(token["id"] for token in state["added_tokens"])
    always.update(marker_ids(state))
    unknown = unknown_id(state)
    if unknown is not None:
        always.add(unknown)
    return always | character_ids(state) if keep_characters else always


def _check_kept(tokenizer: PreTrainedTokenizerBase, state: State, kept: np.ndarray) -> None:
    if kept.ndim != 1 or (np.diff(kept) <= 0).any():
        raise ModelError("the ids to keep must be one ascending list without repeats")
    token_of: dict[int, str] = {}
    for token, index in token_ids(state).items():
        if token_of.setdefault(index, token) != token:
            raise ModelError(f"tokens {token_of[index]!r} and {token!r} of the tokenizer share the id {index}")
    asked = set(kept.tolist())
    strange = sorted(asked - token_of.keys())
    if strange:
        raise ModelError(f"id {strange[0]} is to be kept, but the tokenizer has no such token ({len(strange)} in all)")
    missing = sorted(_always_kept(tokenizer, state, keep_characters=False) - asked)
    if missing:
        names = ", ".join(repr(token_of[index]) for index in missing[:5])
        raise ModelError(f"{len(missing)} special or added tokens are not among the ids to keep: {names}")
    parts = sorted(set(closed_under_merges(state, kept).tolist()) - asked)
    if parts:
        names = ", ".join(repr(token_of[index]) for index in parts[:5])
        raise ModelError(
            f"{len(parts)} pieces that kept ones are merged from are not kept (see merge_closure): {names}"
        )


def _write_files(tokenizer: PreTrainedTokenizerBase, cut: State, new_id: Mapping[int, int], folder: Path) -> None:
    """Write the tokenizer as its files, then put the cut state and its ids into them."""
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(cut, ensure_ascii=False), encoding="utf-8")
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    # Some classes (DeBERTa's) keep the id of the unknown token as a setting of its own.
    if config.get("unk_id") in new_id:
        config["unk_id"] = new_id[config["unk_id"]]
        config_file.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def _as_loaded(state: State) -> State:
    """Give the state as the tokenizer library writes it back, so that equal tokenizers have equal states."""
    loaded: State = json.loads(Tokenizer.from_str(json.dumps(state)).to_str())
    return loaded
