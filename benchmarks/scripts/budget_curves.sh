#!/usr/bin/env bash
# How much phase 1 and how many layers a student needs: names on real text, three recipes, each budget a sweep.
# usage: benchmarks/scripts/budget_curves.sh SHARED STORAGE TEACHER [LANGS] [SEEDS]
set -euo pipefail
shared=$1 storage=$2 teacher=$3 langs=${4:-sw} seeds=${5:-0}
students() { # NAME, further settings
  local name=$1
  shift
  bistil-ray sweep --langs "$langs" --task ner --task-data "$shared/data/ner" --corpora "$shared/data/corpora" \
    --teachers "$teacher" --recipes bistil,bistil+,nodistil --seeds "$seeds" --densities 0.08 --storage "$storage" \
    --name "$name" --yes --quiet --set label_map.DATE=O --set packing.length=128 --set distil.batch_size=16 \
    --set distil.lr=1e-3 --set distil.evaluations=3 --set teach.batch_size=32 --set teach.max_length=128 \
    --set teach.warmup=0.1 --set teach.lr=5e-4 --set teach.epochs=2 --set finetune.batch_size=32 \
    --set finetune.max_length=128 --set finetune.warmup=0.1 --set finetune.lr=1e-3 \
    --set finetune.dense_epochs=0.5 --set finetune.sparse_epochs=0.5 "$@"
}
for steps in 0 75 150 300 600 1200; do
  students "budget-$steps" --set distil.steps="$steps"
done
students budget-layers --layers 1,2,4 --set distil.steps=300
python - "$storage" <<'PYTHON'
import sys
from pathlib import Path

from bistil_ray.results.comparison import settings_of
from bistil_ray.results.records import read_records

for run in sorted(Path(sys.argv[1]).glob("budget-*"), key=lambda folder: (len(folder.name), folder.name)):
    for setting in settings_of(read_records(run)):
        first = setting.records[0]
        spread = "" if setting.spread is None else f" ± {setting.spread:.3f}"
        size = f"{first.layers} layers, {first.params / 1e6:.1f} M parameters"
        print(f"{run.name}: {first.lang} {first.recipe}, {size}: {setting.mean:.3f}{spread}")
PYTHON
