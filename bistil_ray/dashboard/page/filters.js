"use strict";
// The filters over all views: languages, teachers, recipes. Nothing chosen means everything.

const chosen = { lang: new Set(), teacher: new Set(), recipe: new Set() };
const FILTERS = { lang: "Languages", teacher: "Teachers", recipe: "Recipes" };

/** Tell whether a step or record passes; what has no language, teacher or recipe is not held against it. */
function passes(item) {
  return Object.entries(chosen).every(([name, wanted]) =>
    !wanted.size || item[name] == null || wanted.has(item[name]) || (name === "recipe" && item.recipe === "teacher"));
}

/** Draw the filters that have something to choose from. */
function drawFilters(run, changed) {
  const host = document.getElementById("filters");
  const open = document.activeElement?.closest?.("#filters details")?.dataset.name;
  if (open) return; // not under somebody's hands
  const everything = [...run.steps, ...run.students];
  host.replaceChildren(...Object.entries(FILTERS).flatMap(([name, title]) => {
    const values = inOrder(distinct(everything, name).filter((value) => value !== "teacher"));
    return values.length > 1 ? [filter(run, name, title, values, changed)] : [];
  }));
}

function filter(run, name, title, values, changed) {
  const summary = el("summary", {});
  const say = () => {
    const wanted = chosen[name].size;
    summary.replaceChildren(`${title}: ${wanted ? `${wanted} of ${values.length}` : "all"}`);
    summary.classList.toggle("active", wanted > 0);
  };
  const boxes = values.map((value) => {
    const box = el("input", { type: "checkbox", checked: chosen[name].has(value), change: () => {
      chosen[name][box.checked ? "add" : "delete"](value);
      say();
      changed();
    } });
    return el("label", {}, box, nameOf(run, name, value));
  });
  say();
  const all = el("button", { type: "button", click: () => {
    chosen[name].clear();
    for (const label of boxes) label.firstChild.checked = false;
    say();
    changed();
  } }, "all");
  return el("details", { name: "filter", "data-name": name }, summary, el("div", { class: "choices" }, all, boxes));
}

function nameOf(run, name, value) {
  return name === "lang" ? languageOf(run, value) : String(value);
}

// An open list closes when one clicks or tabs elsewhere, or presses Escape.
for (const event of ["pointerdown", "focusin"]) {
  addEventListener(event, ({ target }) => {
    for (const open of document.querySelectorAll("#filters details[open]")) if (!open.contains(target)) open.open = false;
  });
}
addEventListener("keydown", ({ key }) => {
  const open = key === "Escape" && document.querySelector("#filters details[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
