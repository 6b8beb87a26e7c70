import hashlib
from pathlib import Path
from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.plan import make_plan
from bistil_ray.steps.local import run_here
def test_d(bert_folder, tiny_settings, tmp_path):
    config = load_config(None, ["distil.steps=24"], {"teachers": [str(bert_folder)]}, tiny_settings)
    plan=make_plan(config, gather_facts(config))
    hs=[]
    for r in "abc":
        run_here(plan, tmp_path/r)
        hs.append({str(p.relative_to(tmp_path/r)): hashlib.md5(p.read_bytes()).hexdigest()[:8] for p in sorted((tmp_path/r).rglob("*")) if p.suffix in (".safetensors",".npy",".parquet") or p.name=="tokenizer.json"})
    for k in hs[0]:
        print(k, [h[k] for h in hs])
