"use strict";
// How far the run is, what it has cost, what failed.

const STATE_WORDS = {
  done: "done", running: "running", waiting: "waiting", failed: "failed", skipped: "skipped", pruned: "stopped early",
};
const KIND_WORDS = {
  pack: "pack: text cut and tokenised", pretrain: "pretrain: a model from scratch", adapt: "adapt: teacher to a language",
  "task-teacher": "task teacher: a teacher, or a student of several, tuned on the task", evaluate: "evaluate: one of these scored",
  distil: "distil: phase 1, a general student", finetune: "finetune: phase 2, the student learns the task",
  predict: "predict: what a teacher expects at masked tokens", merge: "merge: phase 1, a student of several teachers",
};
const SILENCE = 900; // seconds without a sign of life after which a run counts as stopped

/** Tell whether steps that count as running are still likely to run. */
function isAlive(run) {
  return run.counts.running > 0 && run.run.seen != null && run.run.written - run.run.seen < SILENCE;
}

function drawStatus(run) {
  const { counts } = run;
  const total = run.steps.length;
  const shown = ["done", "running", "failed", "skipped", "pruned", "waiting"];
  const bar = el("div", { class: "progress", role: "img", "aria-label": stateSentence(run) },
    shown.filter((state) => counts[state]).map((state) =>
      el("span", { class: state, style: `flex-grow:${counts[state]}`, title: `${counts[state]} ${STATE_WORDS[state]}` })));
  const key = el("p", { class: "key" }, shown.filter((state) => counts[state]).map((state) =>
    el("span", { class: `mark ${state}` }, `${asCount(counts[state])} ${STATE_WORDS[state]}`)));
  const busy = run.steps.reduce((sum, step) => sum + (step.took ?? 0), 0);
  const trained = run.steps.reduce((sum, step) => sum + step.tokens, 0);
  const planned = run.steps.reduce((sum, step) => sum + step.planned, 0);
  const starts = run.steps.filter((step) => step.started && step.took != null);
  const span = starts.length
    && Math.max(...[0, 1].map((end) => starts.reduce((most, step) => Math.max(most, step.started + end * step.took), 0)))
      - starts.reduce((least, step) => Math.min(least, step.started), Infinity);
  const figuresOf = [
    ["steps done", `${asCount(counts.done)} of ${asCount(total)}`],
    ["tokens trained on", planned ? partOfTokens(trained, planned) : asTokens(trained)],
    ["computing time, all steps together", asDuration(busy)],
    ["from first start to last end", starts.length ? asDuration(span) : "–"],
    ["still to go", leftWords(run)],
  ];
  fill("status", "Status and budget", stateSentence(run), bar, key,
    el("dl", { class: "cards" }, figuresOf.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    lost(run), running(run), kinds(run));
}

function leftWords(run) {
  if (run.counts.running + run.counts.waiting === 0) return "nothing";
  return run.seconds_left == null ? "not known yet" : `about ${asDuration(run.seconds_left)}`;
}

function stateSentence(run) {
  const { counts } = run;
  const total = run.steps.length;
  const done = `${asCount(counts.done)} of ${asCount(total)} steps are done`;
  if (!total) return "Nothing is planned yet: this page fills as the run goes on.";
  if (counts.done === total) return `All ${asCount(total)} steps are done.`;
  if (isAlive(run)) {
    const left = run.seconds_left == null ? "how long it still takes is not known yet" : `${leftWords(run)} left`;
    return `${done}, ${asCount(counts.running)} running; ${left}.${lossSentence(counts)}`;
  }
  if (counts.running + counts.waiting === 0) return `The run has ended: ${done}.${lossSentence(counts)}`;
  const quiet = run.run.seen == null ? null : asDuration(run.run.written - run.run.seen);
  return `${done} and nothing seems to run; the same command again continues.`
    + `${quiet ? ` Its files last changed ${quiet} before this page was written.` : ""}${lossSentence(counts)}`;
}

function lossSentence({ failed, skipped, pruned }) {
  const also = skipped ? `, and ${plural(skipped, "step")} that needed ${failed === 1 ? "it" : "them"} had to be skipped` : "";
  return (failed ? ` ${plural(failed, "step")} failed${also}.` : "")
    + (pruned ? ` ${plural(pruned, "step")} of weak students stopped early, as asked.` : "");
}

/** Failures and what they cost, the same reason once. */
function lost(run) {
  const steps = run.steps.filter((step) => step.state === "failed");
  if (!steps.length) return null;
  const rows = [...groupBy(steps, (step) => step.reason)].map(([reason, alike]) => ({ reason, alike }));
  return table("What failed, and why", [
    ["step", ({ alike }) => [stepButton(run, alike[0]), alike.length > 1 ? ` and ${alike.length - 1} more` : ""]],
    ["reason", ({ reason }) => el("code", {}, reason ?? "not told")],
  ].map(([name, cell]) => [name, (row) => el("span", {}, cell(row))]), rows.slice(0, 50));
}

function running(run) {
  const steps = run.steps.filter((step) => step.state === "running");
  if (!steps.length) return null;
  return table(isAlive(run) ? "Running now" : "Running when the files last changed", [
    ["step", (step) => stepButton(run, step)],
    ["progress", (step) => step.planned
      ? el("progress", { value: step.tokens, max: step.planned, "aria-label": "share of its tokens" }) : "–"],
    ["tokens", (step) => (step.planned ? partOfTokens(step.tokens, step.planned) : "–"), true],
    ["loss", (step) => lastValue(step, "loss")?.toFixed(3), true],
    ["bits per character", (step) => lastValue(step, "bits_per_character")?.toFixed(3), true],
  ], steps.slice(0, 50));
}

function lastValue(step, name) {
  return step.curves.filter((curve) => curve.name === name).pop()?.values.at(-1);
}

function kinds(run) {
  const rows = [...groupBy(run.steps, (step) => step.kind)];
  const count = (steps, states) => asCount(steps.filter((step) => states.includes(step.state)).length);
  return el("details", {}, el("summary", {}, "Steps by kind"), table("Steps by kind", [
    ["kind", ([kind]) => KIND_WORDS[kind] ?? kind],
    ["planned", ([, steps]) => asCount(steps.length), true],
    ["done", ([, steps]) => count(steps, ["done"]), true],
    ["running", ([, steps]) => count(steps, ["running"]), true],
    ["failed or skipped", ([, steps]) => count(steps, ["failed", "skipped"]), true],
    ["stopped early", ([, steps]) => count(steps, ["pruned"]), true],
    ["computing time", ([, steps]) => asDuration(steps.reduce((sum, step) => sum + (step.took ?? 0), 0)), true],
  ], rows));
}
