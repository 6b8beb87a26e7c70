#!/usr/bin/env bash
# A whole sweep on real text, real labels and small real teachers: 2 teachers x 3 languages x 3 densities on two CPU cores.
# usage: benchmarks/scripts/real_sweep.sh SHARED STORAGE    (SHARED holds data/ and models/; run it again to continue)
set -euo pipefail
shared=$1
storage=$2
bistil-ray sweep --langs sw,yo,ha \
  --teachers "$shared/models/mini-mbert,$shared/models/mini-mbert-6l" \
  --corpora "$shared/data/corpora" --task ner --task-data "$shared/data/ner" \
  --densities 0.02,0.08,0.32 --storage "$storage" --name real --yes \
  --set label_map.DATE=O --set packing.length=128 \
  --set teach.epochs=0.25 --set teach.batch_size=32 --set teach.lr=3e-4 --set teach.max_length=128 \
  --set distil.steps=80 --set distil.batch_size=16 --set distil.lr=5e-4 --set distil.evaluations=3 \
  --set finetune.dense_epochs=0.04 --set finetune.sparse_epochs=0.08 --set finetune.batch_size=16 \
  --set finetune.lr=5e-4 --set finetune.max_length=128
