#!/usr/bin/env bash
# Every task on real text, real labels and one small real teacher, about 300 steps of each phase: one phase-1 student
# serves all tasks of a pair of languages.
# usage: benchmarks/scripts/every_task.sh SHARED STORAGE [TASK...]
# (SHARED holds data/ and models/; run it again to continue)
set -euo pipefail
shared=$1
storage=$2
shift 2
for task in ${*:-ner pos dep nli qa topic sentiment}; do
  # Heads on whole texts get a warm-up; whether this teacher needs it was not measured.
  source=en lang=sw more=(--set teach.warmup=0.1 --set finetune.warmup=0.1)
  case $task in
    ner) epochs=0.2 more=(--set label_map.DATE=O) ;;
    pos) epochs=0.4 more=() ;;
    dep) epochs=0.7 lang=yo more=() ;; # no Swahili treebank
    nli) epochs=1 ;;
    qa) epochs=2 ;;
    topic) epochs=7 ;;
    sentiment) epochs=0.35 source=ha ;; # no English labels
  esac
  bistil-ray sweep --source $source --langs $lang --task "$task" --task-data "$shared/data/$task" \
    --teachers "$shared/models/mini-mbert-6l" --corpora "$shared/data/corpora" --recipes "${RECIPES:-bistil,nodistil}" \
    --densities 0.08 --storage "$storage" --name "$task" --yes ${more[@]+"${more[@]}"} \
    --set packing.length=128 \
    --set distil.steps=300 --set distil.batch_size=16 --set distil.lr=5e-4 --set distil.evaluations=3 \
    --set teach.epochs=$epochs --set teach.batch_size=16 --set teach.lr=3e-4 --set teach.max_length=128 \
    --set finetune.dense_epochs=$epochs --set finetune.sparse_epochs=$epochs --set finetune.batch_size=16 \
    --set finetune.lr=5e-4 --set finetune.max_length=128
done
