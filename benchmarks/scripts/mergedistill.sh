#!/usr/bin/env bash
# MergeDistill on real text: two tiny teachers with vocabularies of two kinds, one of English and Swahili, one of English
# and Yoruba, both pre-trained here; then a student for every assignment of them to three languages, tuned on a task.
# usage: benchmarks/scripts/mergedistill.sh SHARED WORK [topic|ner]
# (SHARED holds data/ and models/; run it again to continue; with the other task it tunes the students that are there)
set -euo pipefail
shared=$1
work=$2
task=${3:-topic}
case $task in
  topic) teach=4 dense=2 sparse=4 labels={} ;;
  ner) teach=0.5 dense=0.2 sparse=0.3 labels="{DATE: O}" ;;
  *) echo "the task is $task; allowed: topic, ner" >&2 && exit 2 ;;
esac
rows=4000 # of each corpus
mkdir -p "$work"
python - "$shared" "$work" "$rows" <<'PYTHON'
"""A part of each corpus, a WordPiece tokenizer of the vocabulary's kind of mini-mbert and a Unigram one of XLM-R's."""
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
from tokenizers import SentencePieceUnigramTokenizer
from transformers import AutoTokenizer, XLMRobertaTokenizer

shared, work, rows = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
(work / "corpora").mkdir(exist_ok=True)
texts = {}
for lang in ("en", "sw", "yo"):
    table = pq.read_table(shared / f"data/corpora/{lang}.parquet", columns=["text"]).slice(0, rows)
    if not (work / f"corpora/{lang}.parquet").exists():
        pq.write_table(table, work / f"corpora/{lang}.parquet", row_group_size=1000)
    texts[lang] = table.column("text").to_pylist()
if not (work / "tokenizers/wordpiece").exists():
    mbert = AutoTokenizer.from_pretrained(shared / "models/mini-mbert-6l")
    mbert.train_new_from_iterator([texts["en"], texts["sw"]], 8000).save_pretrained(work / "tokenizers/wordpiece")
if not (work / "tokenizers/unigram").exists():
    learned = SentencePieceUnigramTokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    learned.train_from_iterator(
        texts["en"] + texts["yo"], vocab_size=8000, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    pieces = [tuple(piece) for piece in json.loads(learned.to_str())["model"]["vocab"]]
    XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)]).save_pretrained(work / "tokenizers/unigram")
PYTHON
pretrain() {  # name tokenizer languages
  [ -e "$work/teachers/$1" ] || bistil-ray pretrain --langs "$3" --corpora "$work/corpora" \
    --tokenizer "$work/tokenizers/$2" --layers 4 --hidden 128 --heads 4 --steps 3000 --batch-size 16 \
    --length 64 --lr 2e-3 --out "$work/teachers/$1"
}
pretrain en-sw wordpiece en,sw &
pretrain en-yo unigram en,yo
wait $!
bistil-ray sweep --langs sw,yo --teachers "$work/teachers/en-sw,$work/teachers/en-yo" --corpora "$work/corpora" \
  --task "$task" --task-data "$shared/data/$task" --recipes mergedistill --layers 4 --hidden 128 --densities 0.32 \
  --storage "$work/runs" --name "merged-$task" --yes --set packing.length=64 \
  --set merge.steps=800 --set merge.batch_size=16 --set merge.lr=2e-3 --set merge.warmup=0.1 --set merge.evaluations=1 \
  --set "label_map=$labels" \
  --set teach.epochs=$teach --set teach.batch_size=16 --set teach.lr=1e-3 --set teach.max_length=64 \
  --set finetune.dense_epochs=$dense --set finetune.sparse_epochs=$sparse --set finetune.batch_size=16 \
  --set finetune.lr=1e-3 --set finetune.max_length=64
bistil-ray results "$work/runs/merged-$task"
python - "$work/runs" "merged-$task" <<'PYTHON'
"""Bits per character of held-out text: teachers, and students by assignment."""
import json, sys
from pathlib import Path

runs, name = Path(sys.argv[1]), sys.argv[2]
steps = json.loads((runs / name / "plan.json").read_text())["steps"]
for step in (step for step in steps if step["kind"] in ("predict", "merge")):
    bits = json.loads((runs / "steps" / step["key"] / "result.json").read_text())["bits_per_character"]
    print(step["title"], {lang: round(value, 3) for lang, value in bits.items()})
PYTHON
