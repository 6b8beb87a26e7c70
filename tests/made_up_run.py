"""A run of made-up scores on disk, for what reads runs: tables, pages, exports."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bistil_ray.facts import display_names


def write_run(
    folder: Path,
    langs: Sequence[str] = ("sw", "yo"),
    teachers: Sequence[str] = ("models/big", "models/small"),
    layers: Sequence[int] = (2,),
    densities: Sequence[float] = (0.02, 0.08, 0.32),
    recipes: Sequence[str] = ("bistil",),
    seeds: Sequence[int] = (0,),
    done: int | None = None,
    reason: str = "the loss is not a number",
    task_data: str = "ner",
) -> Path:
    """Write a run of made-up scores; with ``done``, that many steps are done, the next failed and two more run."""
    chance = random.Random(0)
    names = list(display_names(teachers).values())
    run, steps = folder / "made-up", _steps(langs, names, layers, densities, recipes, seeds)
    config = {"langs": list(langs), "source": "en", "teachers": list(teachers), "task": "ner", "storage": str(folder)}
    config |= {"corpora": "corpora", "task_data": task_data}
    files = {"config.yaml": yaml.safe_dump(config), "plan.json": json.dumps({"steps": list(steps.values())})}
    states, records = {}, []
    for number, (key, step) in enumerate(steps.items()):
        state = _state(number, done, step, states)
        states[key] = {"state": state, "reason": reason if state == "failed" else ""}
        at = folder / "steps" / key
        if state in ("done", "running"):
            losses = [{"step": n, "tokens": 100 * n, "loss": 3 / n, "loss_hidden": 2 / n} for n in range(1, 13)]
            losses = [{"phase": "sparse", **line} if step["kind"] == "finetune" else line for line in losses]
            bits = [{"step": 12, "tokens": 1200, "bits_per_character": 1.5}] if step["kind"] == "distil" else []
            at.mkdir(parents=True)
            (at / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*losses, *bits]))
        if state == "done":
            record = _record(step, str(at / "model"), chance) if step["kind"] in ("evaluate", "finetune") else None
            records += [record] if record else []
            result = {"started": 1000.0 + 60 * number, "finished": 1050.0 + 60 * number, "tokens": step["tokens"]}
            result |= (
                {"record": record} if record else {"bits_per_character": {"en": 1.2, step["about"].get("lang"): 1.5}}
            )
            (at / "result.json").write_text(json.dumps(result))
            (at / "DONE").write_text("")
    files |= {"status.json": json.dumps(states)}
    files |= {"results.jsonl": "".join(json.dumps(record) + "\n" for record in records)} if records else {}
    run.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (run / name).write_text(text)
    return run


def _steps(
    langs: Sequence[str],
    teachers: Sequence[str],
    layers: Sequence[int],
    densities: Sequence[float],
    recipes: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {}

    def add(kind: str, about: dict[str, Any], tokens: int = 0, **needs: str) -> str:
        key = f"{kind}-{len(steps):020x}"
        step = {"key": key, "kind": kind, "about": about, "needs": needs, "tokens": tokens, "flops": 1e9 * tokens}
        steps[key] = {**step, "settings": {**about, "lr": 0.001}, "inputs": {"corpus": f"corpora/{about.get('lang')}"}}
        return key

    packs = {lang: add("pack", {"languages": f"en-{lang}"}) for lang in langs}
    taught = {name: add("task-teacher", {"teacher": name, "seed": 0}, 1000) for name in teachers}
    pairs = list(itertools.product(langs, teachers))
    scored = {
        (lang, name): add("evaluate", {"lang": lang, "teacher": name, "seed": 0}, task_teacher=taught[name])
        for lang, name in pairs
    }
    for seed, recipe, (lang, name), depth in itertools.product(seeds, recipes, pairs, layers):
        about = {"lang": lang, "teacher": name, "layers": depth, "recipe": recipe, "seed": seed}
        student = add("distil", about, 1200, pack=packs[lang])
        for density in densities:
            needs = {"student": student, "task_teacher": taught[name], "evaluate": scored[lang, name]}
            add("finetune", {**about, "density": density}, 1200, **needs)
    return steps


def _state(number: int, done: int | None, step: dict[str, Any], states: dict[str, Any]) -> str:
    if done is None or number < done:
        return "done"
    if any(states.get(need, {}).get("state") in ("failed", "skipped") for need in step["needs"].values()):
        return "skipped"
    return "failed" if number == done else "running" if number <= done + 2 else "waiting"


def _record(step: dict[str, Any], model: str, chance: random.Random) -> dict[str, Any]:
    about = {"recipe": "teacher", "layers": 4, "density": None, **step["about"]}
    teacher_score = 0.8 if about["teacher"].endswith("big") else 0.6
    score = teacher_score
    if step["kind"] == "finetune":
        score *= 0.2 if about["recipe"] == "scratch" else 0.9 + 0.02 * about["layers"] * chance.random()
    params = 300_000 * about["layers"]
    return {
        "step": step["key"], "kind": step["kind"], "source": "en", "hidden": 128, "task": "ner", "split": "test",
        "metric": "f1", "score": score, "validation_score": score + 0.05, "teacher_score": teacher_score,
        "retention": score / teacher_score, "source_score": score + 0.1, "params": params, "bytes": 4 * params,
        "vocab_size": 1500, "flops_per_token": 2.0 * params, "latency_ms": about["layers"] * (1 + chance.random()),
        "tokens": 2400, "seconds": 20.0, "model_dir": model, "time": "2026-01-01T00:00:00Z", **about,
        "agreement": chance.random() if step["kind"] == "finetune" else None,
    }  # fmt: skip
