"use strict";
// One step: what it is, how it went, its settings, and the command that makes it again.

let current; // the run that is shown, and
let opened; // the place of the step whose panel is open

function openStep(at) {
  const step = current?.steps[at];
  if (!step) return;
  opened = at;
  const panel = document.getElementById("step");
  panel.replaceChildren(...stepContent(current, step));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  history.replaceState(null, "", `#step=${encodeURIComponent(step.key)}`);
}

/** Open the step that the address names, so that a link to a step can be passed on. */
function openFromAddress() {
  const key = decodeURIComponent(/^#step=(.+)$/.exec(location.hash)?.[1] ?? "");
  const step = key && current.steps.find((one) => one.key === key);
  if (step) openStep(step.at);
}

/** Bring an open panel up to date. */
function refreshPanel(before) {
  const key = opened != null && before.steps[opened]?.key;
  const step = key && current.steps.find((one) => one.key === key);
  const panel = document.getElementById("step");
  if (step && panel.open && JSON.stringify(before.steps[opened]) !== JSON.stringify(step)) openStep(step.at);
}

function stepContent(run, step) {
  const panel = document.getElementById("step");
  const close = el("button", { type: "button", class: "close", "aria-label": "Close", click: () => panel.close() }, "×");
  const folder = `${run.run.steps_folder}/${step.key}`;
  return [
    close, el("h2", { id: "step-title" }, stepTitle(run, step)),
    el("p", {}, el("span", { class: `mark ${step.state}` }, STATE_WORDS[step.state]), ` · ${KIND_WORDS[step.kind] ?? step.kind}`),
    step.reason && el("pre", { class: step.state === "failed" ? "reason" : "" }, step.reason),
    facts(run, step), stepCurves(step),
    el("h3", {}, "Make it again"),
    note("In an empty storage, this makes the step and what it builds on, with the same results on the same kind of machine:"),
    copied(reproduce(run, step)),
    step.record && step.kind === "finetune" && [note("The model itself loads with transformers from:"), copied(`${folder}/model`)],
    note("Everything the step wrote, with its log of metrics in metrics.jsonl:"), copied(folder),
    el("h3", {}, "Settings"), settingsTable(step),
    neighbours(run, "Builds on", step.needs.map((need) => run.steps[need])),
    neighbours(run, "Used by", run.steps.filter((other) => other.needs.includes(step.at))),
  ].flat().filter(Boolean);
}

/** Links to the steps before or after; a few of them stand for many. */
function neighbours(run, heading, steps) {
  if (!steps.length) return null;
  const links = steps.slice(0, 10).map((other) => el("li", {}, stepButton(run, other)));
  const more = steps.length > links.length && el("li", {}, `and ${asCount(steps.length - links.length)} more`);
  return [el("h3", {}, heading), el("ul", {}, links, more)];
}

function facts(run, step) {
  const { record } = step;
  const tokens = step.state === "done" ? asTokens(step.tokens) : partOfTokens(step.tokens, step.planned);
  const rows = [
    record && [
      [`${run.metric} on the test set`, asScore(record.score)],
      ["of its teacher’s", asPercent(record.retention)],
      ["its teacher", asScore(record.teacher_score)],
      [`validation, ${record.validation_lang ?? run.run.source}`, asScore(record.validation_score)],
      ["test, source language", asScore(record.source_score)],
      ["parameters", asCount(record.params)],
      ["size", asMegabytes(record.bytes)],
      ["vocabulary", asCount(record.vocab_size)],
      ["latency", asMilliseconds(record.latency_ms)],
      ["FLOPs per token", asTokens(record.flops_per_token)],
    ],
    [
      ["bits per character", step.bits?.toFixed(3) ?? "–"],
      ["tokens", step.planned ? tokens : "–"],
      ["took", asDuration(step.took)],
      ["started", step.started ? new Date(1000 * step.started).toLocaleString() : "–"],
    ],
  ].filter(Boolean).flat().filter(([, value]) => value !== "–");
  return el("dl", { class: "cards" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function stepCurves(step) {
  const phases = [...groupBy(step.curves, (curve) => curve.phase)];
  if (!phases.length && step.planned && step.state === "done") {
    return note("Its curves are left out of this page, which holds those of the best students and of what did not finish.");
  }
  return phases.map(([phase, curves]) => {
    const traces = () => curves.map((curve, place) => ({
      type: "scatter", mode: curve.values.length < 15 ? "lines+markers" : "lines", name: plain(quantity(curve.name)),
      x: curve.tokens, y: curve.values,
      line: { color: colour(place), width: 2 }, marker: { symbol: symbol(place), color: colour(place) },
    }));
    const make = () => ({ traces: traces(), layout });
    const layout = { xaxis: { title: { text: "tokens" } }, yaxis: { rangemode: "tozero" } };
    return el("div", {}, el("h3", {}, phase ? `Learning curves, ${phase} phase` : "Learning curves"),
      figure(`panel-${phase || "only"}`, "Loss terms and bits per character against tokens", make, 320));
  });
}

function settingsTable(step) {
  const rows = Object.entries(step.settings).filter(([, value]) => value != null);
  return table("As they stand in plan.json; inputs are where the data and models lay", [
    ["setting", ([name]) => name.replace(/_/g, " ")],
    ["value", ([, value]) => el("code", {}, typeof value === "object" ? JSON.stringify(value) : String(value))],
  ], rows);
}

/** The sweep of this run's configuration that has this step, cut down to the values that lead to it. */
function reproduce(run, step) {
  const { assignment } = step;
  const lang = step.lang ?? step.settings.languages?.at(-1);
  // Students of several teachers need all of them, and all languages; so do the steps that lead to them.
  const needsAll = assignment || (!step.recipe && run.steps.some((one) => one.kind === "merge"));
  const taught = needsAll ? null : run.run.task_teachers[step.teacher];
  const flags = {
    config: `${run.run.place}/config.yaml`,
    storage: "again",
    langs: needsAll || lang === run.run.source ? null : lang,
    teachers: needsAll ? null : run.run.teachers[step.teacher],
    set: assignment ? `merge.assignments=[{${String(assignment).replace(/=/g, ": ").replace(/,/g, ", ")}}]`
      : taught && `task_teacher={${JSON.stringify(step.teacher)}: ${JSON.stringify(taught)}}`,
    recipes: step.recipe ?? (assignment && "mergedistill"),
    layers: step.layers,
    hidden: step.hidden,
    densities: step.density,
    seeds: step.seed,
  };
  const given = Object.entries(flags).filter(([, value]) => value != null);
  return `bistil-ray sweep ${given.map(([name, value]) => `--${name} ${quoted(value)}`).join(" ")}`;
}

/** Quote a word for a shell. */
function quoted(value) {
  const text = String(value);
  return /^[\w./:=,@+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

/** A text with a button that copies it. */
function copied(text) {
  const button = el("button", { type: "button", click: async () => {
    await navigator.clipboard?.writeText(text);
    button.textContent = "copied";
  } }, "copy");
  return el("div", { class: "copied" }, el("pre", { tabindex: "0" }, text), button);
}
