#!/usr/bin/env bash
# What early stopping saves: a search over four teachers (the sample's two, and two of random weights) with and without it.
# usage: benchmarks/pruning.sh STORAGE [STEPS]
set -euo pipefail
storage=$1 steps=${2:-300}
bistil-ray sweep --langs sw --storage "$storage" --plan >/dev/null # writes the sample's text and labels
given=$(python -c "from importlib.resources import files; print(files('bistil_ray.sample') / 'teachers')")
python - "$given/sample-base" "$storage" <<'PYTHON'
import sys

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

given, storage = sys.argv[1:]
for layers in (4, 2):
    torch.manual_seed(layers)
    config = AutoConfig.from_pretrained(given, num_hidden_layers=layers)
    folder = f"{storage}/random-{layers}"
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(given).save_pretrained(folder)
PYTHON
search() { # NAME, further settings
  local name=$1
  shift
  bistil-ray sweep --config sample --langs sw --densities 0.08 --corpora "$storage/sample/corpora" --yes --quiet \
    --teachers "$given/sample-base,$given/sample-small,$storage/random-4,$storage/random-2" \
    --task-data "$storage/sample/ner" --storage "$storage/$name" --name search \
    --set distil.steps="$steps" --set distil.evaluations=10 "$@"
}
search whole
mkdir -p "$storage/pruned/steps"
cp -r "$storage"/whole/steps/{pack,task-teacher,evaluate}-* "$storage/pruned/steps" # only the students are made again
search pruned --set pruning.enabled=true
python - "$storage" <<'PYTHON'
import json
import sys
from pathlib import Path

from bistil_ray.results.records import read_records
from bistil_ray.results.tables import best_per_language

for name in ("whole", "pruned"):
    storage = Path(sys.argv[1]) / name
    tokens = {}
    for step in json.loads((storage / "search/plan.json").read_text())["steps"]:
        if step["kind"] == "distil":
            lines = (storage / "steps" / step["key"] / "metrics.jsonl").read_text().splitlines()
            tokens[step["about"]["teacher"]] = max(json.loads(line).get("tokens", 0) for line in lines)
    best = best_per_language(read_records(storage / "search"))["sw"]
    print(f"{name}: {sum(tokens.values()):,} phase-1 tokens {tokens}; chosen: the student of {best.teacher}")
PYTHON
