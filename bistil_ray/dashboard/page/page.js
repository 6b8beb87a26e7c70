"use strict";
// Puts the page together, and keeps it up to date where it is served.

const VIEWS = [
  ["status", "Status", drawStatus],
  ["best", "Best", drawBest],
  ["tradeoff", "Size and speed", drawTradeoff],
  ["heat", "Densities", drawHeat],
  ["importance", "What mattered", drawImportance],
  ["lines", "All settings", drawLines],
  ["curves", "Curves", drawCurves],
  ["steps", "Every step", drawSteps],
];
const REFRESH = 4000; // milliseconds

function show(data) {
  const before = current;
  current = decode(data);
  current.metric = METRICS[data.run.metric] ?? data.run.metric;
  drawHead(current);
  drawFilters(current, drawViews);
  drawViews();
  if (before) refreshPanel(before);
}

function drawViews() {
  for (const [, , draw] of VIEWS) draw(current);
}

function drawHead(run) {
  const { name, task, source, languages } = run.run;
  const teachers = Object.keys(run.run.teachers);
  const targets = Object.keys(languages).filter((code) => code !== source).map((code) => languages[code]);
  const about = [
    task && `Task: ${TASKS[task] ?? task}`,
    targets.length && `${languageOf(run, source)} to ${targets.length > 6 ? `${targets.length} languages` : listed(targets)}`,
    teachers.length && `${plural(teachers.length, "teacher")}: ${listed(teachers)}`,
    run.students.length && plural(run.students.length, "student"),
  ];
  document.getElementById("name").textContent = name;
  document.getElementById("about").textContent = about.filter(Boolean).join(" · ");
  document.getElementById("lead").textContent = leadSentence(run);
  document.getElementById("views").replaceChildren(...VIEWS.map(([id, title]) => el("a", { href: `#${id}` }, title)));
  drawFoot(run);
}

/** Say what the run's students are: of one teacher for two languages, of several for all, or some of each. */
function leadSentence({ steps }) {
  const ofOne = "Small students distilled from large multilingual teachers, each for two languages: the source and its own, "
    + "in which it is tested.";
  const ofSeveral = "each for all languages, with a teacher for each of them (its assignment).";
  if (!steps.some(({ assignment }) => assignment)) return ofOne;
  return steps.some(({ kind }) => kind === "distil") ? `${ofOne} Those of recipe mergedistill: ${ofSeveral}`
    : `Small students distilled from several teachers, ${ofSeveral}`;
}

function drawFoot(run) {
  const live = document.documentElement.dataset.mode === "live";
  document.getElementById("foot").replaceChildren(
    el("p", {}, `Written ${new Date(1000 * run.run.written).toLocaleString()} from ${run.run.place}. `,
      live ? el("span", { id: "live", role: "status" }, "Follows the run.")
        : "The page holds all its data and asks for nothing from outside."),
    el("details", {}, el("summary", {}, "The run’s whole configuration"),
      el("pre", { tabindex: "0" }, run.run.config || "config.yaml is not there")));
}

/** Fetch the data again and again; what has not changed is not drawn anew. */
function follow(last) {
  const unchanging = (data) => JSON.stringify({ ...data, run: { ...data.run, written: 0 }, alive: isAlive(data) });
  let known = unchanging(last);
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("data.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const data = await answer.json();
      if (unchanging(data) !== known) {
        known = unchanging(data);
        show(data);
      }
      document.getElementById("live").textContent = `Follows the run; looked ${new Date().toLocaleTimeString()}.`;
    } catch {
      document.getElementById("live").textContent = "The server has stopped; this is the run as it was then.";
    }
  }, REFRESH);
}

const first = JSON.parse(document.getElementById("data").textContent);
show(first);
openFromAddress();
addEventListener("hashchange", openFromAddress);
darkScheme.addEventListener("change", redrawFigures);
document.getElementById("step").addEventListener("close", () => {
  opened = undefined;
  history.replaceState(null, "", location.pathname + location.search);
});
if (document.documentElement.dataset.mode === "live") follow(first);
