"use strict";
// Elements and figures in the page's colours, light and dark. Texts from data only ever become text nodes.

// After Okabe and Ito: told apart with any common colour vision; each also has a shape of its own.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#008f68", "#b8579a", "#b07800", "#3a9bd9", "#6a51a3", "#6b6b6b"],
  dark: ["#56b4e9", "#ff8a4c", "#2bd6a3", "#f0a3cf", "#f5c04a", "#9bd8ff", "#b9a6f2", "#b5b5b5"],
};
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** Make an element; an attribute that is a function listens, a child that is a string becomes text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

function colour(place) {
  const colours = COLOURS[darkScheme.matches ? "dark" : "light"];
  return colours[place % colours.length];
}

/** The shape beside ``colour(place)``; the second time a colour comes round it has another one. */
function symbol(place) {
  return SYMBOLS[(place + Math.floor(place / COLOURS.light.length)) % SYMBOLS.length];
}

/** Escape a text for a figure, where Plotly takes some tags for markup. */
function plain(text) {
  return String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** Give a view its heading, the sentence that says what one sees, and its content. */
function fill(id, heading, sentence, ...content) {
  const section = document.getElementById(id);
  section.hidden = false;
  section.setAttribute("aria-labelledby", `${id}-title`);
  const head = [el("h2", { id: `${id}-title` }, heading), el("p", { class: "headline" }, sentence)];
  section.replaceChildren(...head, ...content.filter(Boolean));
}

/** Leave out a view that has nothing to show yet. */
function leaveOut(id) {
  document.getElementById(id).hidden = true;
}

function note(...text) {
  return el("p", { class: "note" }, ...text);
}

/** Make a table; a column is [heading, cell of a row, is a number]. The box scrolls sideways where it is narrow. */
function table(caption, columns, rows) {
  const head = el("tr", {}, columns.map(([name, , number]) => el("th", { scope: "col", class: number && "number" }, name)));
  const body = rows.map((row) =>
    el("tr", {}, columns.map(([, cell, number]) => el("td", { class: number && "number" }, cell(row) ?? "–"))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body)));
}

const figures = new Map();
const loaded = new Promise((resolve) => addEventListener("load", resolve, { once: true }));
const onScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    figures.get(target.id).visible = isIntersecting;
    draw(target);
  }
}, { rootMargin: "300px" });

/** Give the figure ``id``, drawn when it comes near the screen. ``make`` gives traces and layout; ``label`` says it in words. */
function figure(id, label, make, height = 360) {
  let host = figures.get(id)?.host;
  if (!host) {
    host = el("div", { id, class: "figure", role: "img" });
    figures.set(id, { host, visible: false });
    onScreen.observe(host);
  }
  host.setAttribute("aria-label", label);
  host.style.minHeight = `${height}px`;
  Object.assign(figures.get(id), { make, height, stale: true });
  draw(host);
  return host;
}

async function draw(host) {
  await loaded;
  const known = figures.get(host.id);
  if (!known.visible || !known.stale || !host.isConnected) return;
  known.stale = false;
  const { traces, layout } = known.make();
  const options = { responsive: true, displaylogo: false, displayModeBar: false };
  await Plotly.react(host, traces, themed(layout, known.height), options);
  if (!known.listens) {
    known.listens = true;
    host.on("plotly_click", ({ points: [point] }) => point?.customdata != null && openStep(point.customdata));
  }
}

function redrawFigures() {
  for (const known of figures.values()) {
    known.stale = true;
    draw(known.host);
  }
}

function themed(layout, height) {
  const style = getComputedStyle(document.documentElement);
  const [ink, line, card] = ["--ink", "--line", "--card"].map((name) => style.getPropertyValue(name).trim());
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, fixedrange: true };
  const themedAxes = Object.fromEntries(
    ["xaxis", "yaxis"].map((name) => [name, { ...axis, ...layout[name], title: { font: { size: 13 }, ...layout[name]?.title } }]));
  return {
    height, autosize: true, hovermode: "closest", uirevision: "kept", dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, -apple-system, 'Segoe UI', sans-serif", size: 13, color: ink },
    hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink }, align: "left" },
    margin: { l: 10, r: 12, t: 12, b: 10 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    ...layout, ...themedAxes,
  };
}
