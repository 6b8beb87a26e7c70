"use strict";
// Every student, every step: a table to sort, leaf through and open.

const ROWS_ON_A_PAGE = 25;
const listing = { of: "students", sort: "score", down: true, page: 0 };
const STEP_COLUMNS = [
  ["step", "kind", (run, step) => stepButton(run, step, stepTitle(run, step))],
  ["score", "score", (run, step) => asScore(step.record?.score), true],
  ["of its teacher", "retention", (run, step) => asPercent(step.record?.retention), true],
  ["validation", "validation_score", (run, step) => asScore(step.record?.validation_score), true],
  ["bits per character", "bits", (run, step) => step.bits?.toFixed(2) ?? "–", true],
  ["parameters", "params", (run, step) => asMillions(step.record?.params), true],
  ["size", "bytes", (run, step) => asMegabytes(step.record?.bytes), true],
  ["latency", "latency_ms", (run, step) => asMilliseconds(step.record?.latency_ms), true],
  ["state", "state", (run, step) => el("span", { class: `mark ${step.state}` }, STATE_WORDS[step.state])],
  ["took", "took", (run, step) => asDuration(step.took), true],
];
const LISTS = {
  students: (step) => step.record && step.record.recipe !== "teacher",
  teachers: (step) => step.record && step.record.recipe === "teacher",
  "all steps": () => true,
  "failed or skipped": (step) => step.state === "failed" || step.state === "skipped",
};

/** Name a step for people: what it makes, for which language. */
function stepTitle(run, step) {
  const where = step.lang ? languageOf(run, step.lang) : step.languages;
  const what = settingOf({ ...step, hidden: step.record?.hidden ?? step.hidden ?? step.settings.hidden });
  return [step.record && step.kind === "finetune" ? null : step.kind, where, what].filter(Boolean).join(" · ");
}

/** Make a button that opens the step. */
function stepButton(run, step, text = stepTitle(run, step)) {
  return el("button", { type: "button", class: "link", "data-step": step.at, click: () => openStep(step.at) }, text);
}

function drawSteps(run) {
  const focused = document.activeElement?.closest?.("#steps") ? document.activeElement.dataset : null;
  const rows = run.steps.filter((step) => LISTS[listing.of](step) && passes(step));
  const value = (step) => (listing.sort === "kind" ? stepTitle(run, step) : step.record?.[listing.sort] ?? step[listing.sort]);
  const [last, turn] = [(step) => value(step) == null, listing.down ? -1 : 1];
  rows.sort((a, b) => last(a) - last(b) || turn * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_ON_A_PAGE));
  listing.page = Math.min(listing.page, pages - 1);
  const again = (change) => () => {
    Object.assign(listing, change);
    drawSteps(run);
  };
  const columns = STEP_COLUMNS.map(([name, field, cell, number]) => {
    const sorted = listing.sort === field;
    const click = again({ sort: field, down: sorted ? !listing.down : Boolean(number), page: 0 });
    const arrow = sorted && (listing.down ? " ↓" : " ↑");
    const button = el("button", { type: "button", class: "sort", "data-sort": field, click }, name, arrow);
    return [button, (step) => cell(run, step), number, sorted];
  });
  const start = listing.page * ROWS_ON_A_PAGE;
  const caption = "Click a step to see its settings, its curves and how to make it again";
  const box = table(caption, columns, rows.slice(start, start + ROWS_ON_A_PAGE));
  const order = listing.down ? "descending" : "ascending";
  box.querySelectorAll("th").forEach((head, place) => columns[place][3] && head.setAttribute("aria-sort", order));
  const choose = el("select", { "data-pick": "list", change: ({ target }) => again({ of: target.value, page: 0 })() },
    Object.keys(LISTS).map((name) => el("option", { value: name, selected: name === listing.of }, name)));
  const leaf = (text, page) => {
    const disabled = page < 0 || page >= pages;
    return el("button", { type: "button", "data-leaf": text, disabled, click: again({ page }) }, text);
  };
  const [sortedBy] = STEP_COLUMNS.find(([, field]) => field === listing.sort);
  const sentence = `${plural(rows.length, "row")}, ${listing.down ? "highest" : "lowest"} ${sortedBy} first.`;
  fill("steps", "Every student and step", sentence,
    el("p", { class: "controls" }, el("label", {}, "Show: ", choose)), box,
    pages > 1 && el("p", { class: "controls leaf" }, leaf("Back", listing.page - 1),
      el("span", {}, `page ${asCount(listing.page + 1)} of ${asCount(pages)}`), leaf("Next", listing.page + 1)));
  if (focused) {
    const [[name, kept] = []] = Object.entries(focused);
    if (name) document.querySelector(`#steps [data-${name}="${CSS.escape(kept)}"]`)?.focus();
  }
}
