"""``python -m bistil_ray.sample DIR`` writes the embedded example: corpora, NER sets, its teachers' tokenizer."""

from __future__ import annotations

import sys
from pathlib import Path

from .generate import materialise
from .tokenizer import train_tokenizer

VOCABULARY = 4000

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bistil_ray.sample DIR")
    paths = materialise(Path(sys.argv[1]))
    train_tokenizer(paths.corpora, VOCABULARY).save_pretrained(paths.corpora.parent / "tokenizer")
