"""Step ``pack``: corpora cut to a common vocabulary and packed into fixed blocks; usually of a language pair.

Product: ``tokenizer/`` (trimmed), ``kept.npy`` (the teacher's ids that stay, ascending), ``blocks/<lang>/*.parquet``
and ``held_out/<lang>/*.parquet``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.corpus import Shard, corpus_files, draw_shards, list_shards
from ..data.order import count_blocks
from ..data.pack import count_shard, pack_shard
from ..errors import DataError, ModelError
from ..models.loading import load_tokenizer
from ..vocab.merges import merge_closure
from ..vocab.trim import always_kept_ids, kept_ids, trim_tokenizer
from .context import Context, Job

log = logging.getLogger(__name__)
KEPT = "kept.npy"


def run(job: Job, context: Context) -> dict[str, Any]:
    """Count, trim, tokenise and pack; give the sizes and what was skipped."""
    settings = job.settings
    teacher_tokenizer = job.inputs["tokenizer"]
    shards = {lang: _shards(job, lang) for lang in settings["languages"]}
    kept = choose_vocabulary(
        context, teacher_tokenizer, shards, settings["column"], settings["threshold"], settings["keep_characters"]
    )
    np.save(job.folder / KEPT, kept)
    tokenizer = trim_tokenizer(load_tokenizer(teacher_tokenizer), kept)
    tokenizer.save_pretrained(job.folder / "tokenizer")

    result: dict[str, Any] = {"vocab_size": len(kept), "languages": {}}
    for lang, parts in shards.items():
        pack = partial(
            pack_shard,
            column=settings["column"],
            tokenizer_json=tokenizer.backend_tokenizer.to_str(),
            length=settings["length"],
            held_out_share=settings["held_out"],
            seed=settings["seed"],
            blocks_folder=str(job.folder / "blocks" / lang),
            held_out_folder=str(job.folder / "held_out" / lang),
        )
        packed = context.map(pack, parts)
        tally: Counter[str] = sum((part.tally for part in packed), Counter())
        blocks = count_blocks(block_files(job.folder, "blocks", lang))
        held_out = count_blocks(block_files(job.folder, "held_out", lang))
        if not blocks or not held_out:
            raise DataError(
                f"the corpus of {lang!r} gives {blocks} blocks for training and {held_out} held out, of "
                f"{settings['length']} tokens each, and needs at least one of both: add text, or lower packing.length "
                "or raise packing.held_out"
            )
        result["languages"][lang] = {
            "blocks": blocks,
            "held_out_blocks": held_out,
            "held_out_characters": sum(part.held_out_characters for part in packed),
            "held_out_pieces": sum(part.held_out_pieces for part in packed),
            "skipped": dict(tally),
        }
        context.report({"step": len(result["languages"]), "tokens": blocks * settings["length"], "lang": lang})
    return result


def _shards(job: Job, lang: str) -> list[Shard]:
    """List the shards of a language's corpus that are packed: all of it, or what is drawn from a large one."""
    settings = job.settings
    shards = list_shards(corpus_files(job.inputs[lang], lang), settings["column"])
    most = settings["max_megabytes"]
    drawn = shards if most is None else draw_shards(shards, 1e6 * most, settings["seed"])
    if len(drawn) < len(shards):
        part, whole = (sum(shard.bytes for shard in some) / 1e6 for some in (drawn, shards))
        log.info("of %s %.1f of %.1f MB are packed (packing.max_megabytes)", lang, part, whole)
    return drawn


def block_files(folder: Path, part: str, lang: str) -> list[str]:
    """List the block files of a finished pack: ``part`` is ``blocks`` or ``held_out``."""
    return sorted(str(path) for path in (folder / part / lang).glob("*.parquet"))


def kept_tokens(folder: Path) -> np.ndarray:
    """Read which of the teacher's ids stay in the vocabulary of a finished pack, ascending."""
    kept: np.ndarray = np.load(folder / KEPT, allow_pickle=False)
    return kept


def choose_vocabulary(
    context: Context,
    tokenizer_folder: str,
    shards: Mapping[str, Sequence[Shard]],
    column: str,
    threshold: float,
    keep_characters: bool,
) -> np.ndarray:
    """Count the tokens of each language's corpus and give the ids that stay, ascending.

    ModelError, before anything is counted, for a vocabulary that is to be kept whole and has ids without a token.
    """
    tokenizer = load_tokenizer(tokenizer_folder)
    known = set(tokenizer.get_vocab().values())
    if threshold == 0 and (gaps := set(range(max(known))) - known):
        raise ModelError(
            f"the tokenizer of {tokenizer_folder} has no token {min(gaps)} and cannot be kept whole: cut the model "
            "first (bistil-ray trim), or set vocabulary.threshold above 0"
        )
    count = partial(count_shard, column=column, tokenizer_json=tokenizer.backend_tokenizer.to_str())
    counts = [np.sum(context.map(count, parts), axis=0) for parts in shards.values()]
    kept = kept_ids(counts, threshold, always_kept_ids(tokenizer, keep_characters))
    return merge_closure(tokenizer, kept)
