#!/usr/bin/env bash
# Makes the two tiny teachers that come with the package, from nothing but the package's own sample generator.
# usage: benchmarks/scripts/make_sample_teachers.sh WORK    (about 20 minutes on two CPU cores; results in WORK/teachers)
set -euo pipefail
work=$1
python -m bistil_ray.sample "$work/sample"
pretrain() {  # name layers steps
  bistil-ray pretrain --langs en,sw,yo,ha --corpora "$work/sample/corpora" --tokenizer "$work/sample/tokenizer" \
    --layers "$2" --hidden 128 --heads 4 --steps "$3" --batch-size 16 --length 64 --lr 2e-3 --out "$work/teachers/$1"
}
pretrain sample-base 4 4500
pretrain sample-small 2 1500
