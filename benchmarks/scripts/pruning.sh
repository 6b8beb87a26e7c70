#!/usr/bin/env bash
# What early stopping saves on real text: a search over several teachers for Swahili, whole and with pruning.
# usage: benchmarks/scripts/pruning.sh SHARED STORAGE TEACHER,TEACHER,... [STEPS]
set -euo pipefail
shared=$1 storage=$2 teachers=$3 steps=${4:-200}
search() { # NAME, further settings
  local name=$1
  shift
  bistil-ray sweep --langs sw --task ner --task-data "$shared/data/ner" --corpora "$shared/data/corpora" \
    --teachers "$teachers" --densities 0.08 --storage "$storage/$name" --name search --yes --quiet \
    --set packing.length=128 --set distil.batch_size=16 --set distil.lr=1e-3 --set distil.steps="$steps" \
    --set distil.evaluations=10 --set teach.batch_size=32 --set teach.max_length=128 --set teach.lr=5e-4 \
    --set teach.epochs=0.5 --set finetune.batch_size=32 --set finetune.max_length=128 --set finetune.lr=1e-3 \
    --set finetune.dense_epochs=0.25 --set finetune.sparse_epochs=0.25 --set label_map.DATE=O "$@"
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
    tokens, bits = {}, {}
    for step in json.loads((storage / "search/plan.json").read_text())["steps"]:
        if step["kind"] == "distil":
            lines = (storage / "steps" / step["key"] / "metrics.jsonl").read_text().splitlines()
            seen, teacher = [json.loads(line) for line in lines], step["about"]["teacher"]
            tokens[teacher] = max(line.get("tokens", 0) for line in seen)
            bits[teacher] = [line["bits_per_character"] for line in seen if "bits_per_character" in line][-1]
    scores = {record.teacher: round(record.score, 3) for record in read_records(storage / "search") if record.is_student}
    best = best_per_language(read_records(storage / "search"))["sw"]
    print(f"{name}: {sum(tokens.values()):,} phase-1 tokens {tokens}; bits per character {bits}; F1 {scores}")
    print(f"  chosen: the student of {best.teacher}")
PYTHON
