#!/usr/bin/env bash
# Every recipe on the embedded sample's better teacher, two seeds: shows that the baselines run on equal terms, not how good
# they are on real text.
# usage: benchmarks/scripts/recipes_on_sample.sh STORAGE
set -euo pipefail
storage=$1
bistil-ray sweep --langs sw,yo --storage "$storage" --plan >/dev/null # writes the sample's text and labels
teacher=$(python -c "from importlib.resources import files; print(files('bistil_ray.sample') / 'teachers/sample-base')")
bistil-ray sweep --config sample --langs sw,yo --teachers "$teacher" \
  --corpora "$storage/sample/corpora" --task-data "$storage/sample/ner" --densities 0.08 --seeds 0,1 \
  --recipes bistil,bistil+,nodistil,minilmv2,distilmbert,scratch,teacher --storage "$storage" --name recipes --yes
