"use strict";
// What the settings do: how much each explains, and every student as a line through all of them.

const SETTING_PLACES = ["teacher", "layers", "density", "hidden", "seed"];

function drawImportance(run) {
  const rows = run.importance.filter((row) => !chosen.lang.size || chosen.lang.has(row.lang));
  const heading = "What mattered most";
  if (!run.students.length) return leaveOut("importance");
  if (!rows.length) {
    fill("importance", heading, "Too few students to tell: it takes several in a language, with more than one value of a setting.");
    return;
  }
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.shares)))];
  const shareOf = Object.fromEntries(names.map((name) => [name, mean(rows.map((row) => row.shares[name] ?? 0))]));
  const [first] = [...names].sort((a, b) => shareOf[b] - shareOf[a]);
  const sentence = shareOf[first] < 0.1
    ? "No setting alone explains much of the differences between students."
    : `The choice of ${first} explains most: ${asPercent(shareOf[first])} of the differences between `
      + `the ${listed(distinct(rows, "recipe"))} students of a language.`;
  fill("importance", heading, sentence,
    figure("importance-figure", sentence, () => importanceFigure(run, rows, names), 130 + 40 * rows.length),
    note("Share of the variance of test scores, within a language and the recipe of its best student, that each setting explains "
      + "by itself: a fit with one effect for each value, less what chance would explain. Settings that only varied together are "
      + "counted together; “together” is explained by several settings at once, “rest” is chance and how settings act on each "
      + `other. Over ${plural(rows.reduce((sum, row) => sum + row.students, 0), "student")}, whatever teacher is chosen above.`));
}

function importanceFigure(run, rows, names) {
  const languages = rows.map((row) => plain(languageOf(run, row.lang)));
  const bar = (name, of, fillColour, more = {}) => ({
    type: "bar", orientation: "h", name: plain(name), y: languages, x: rows.map(of), marker: { color: fillColour },
    hovertemplate: `%{y}: %{x:.0%}<extra>${plain(name)}</extra>`, ...more,
  });
  // A setting keeps its colour whatever else varied: that of the first setting in its name.
  const place = (name) => SETTING_PLACES.indexOf(name.split(" and ")[0]);
  return {
    traces: [...names.map((name) => bar(name, (row) => row.shares[name] ?? 0, colour(place(name)), {
      text: rows.map((row) => (row.shares[name] >= 0.08 ? asPercent(row.shares[name]) : "")), textposition: "inside",
      insidetextanchor: "middle", textangle: 0,
    })),
    bar("together", (row) => row.joint, "rgba(128,128,128,.6)"), bar("rest", (row) => row.rest, "rgba(128,128,128,.25)")],
    layout: {
      barmode: "stack", bargap: 0.35,
      xaxis: { tickformat: ".0%", range: [0, 1], title: { text: "share of the variance of scores" } },
      yaxis: { type: "category", autorange: "reversed" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" },
      margin: { l: 10, r: 30, t: 12, b: 10 },
    },
  };
}

const AXES = [
  { name: "lang", title: "language", words: (run, value) => languageOf(run, value) },
  { name: "recipe", title: "recipe" },
  { name: "teacher", title: "teacher" },
  { name: "assignment", title: "assignment" },
  { name: "layers", title: "layers" },
  { name: "hidden", title: "hidden units" },
  { name: "density", title: "density" },
  { name: "seed", title: "seed" },
  { name: "params", title: "parameters", words: (run, value) => asMillions(value), scale: true },
  { name: "score", title: "score", words: (run, value) => asScore(value), scale: true },
];
// Low to high, after Cividis; without its darkest shades on dark ground, without its lightest on light.
const LINE_COLOURS = {
  light: ["#00224e", "#263f6d", "#575d6d", "#848279", "#b3a26a", "#e0b400"],
  dark: ["#4d6399", "#6b7391", "#8a8a8f", "#aba277", "#d2bf5c", "#fee838"],
};
const MOST_LINES = 1000;

function drawLines(run) {
  const students = run.students.filter(passes);
  const heading = "All settings at once";
  const axes = AXES.filter(({ name }) => distinct(students, name).length > 1);
  if (students.length < 2 || axes.length < 2) return leaveOut("lines");
  const shown = everyNth([...students].sort((a, b) => a.score - b.score), MOST_LINES);
  const shared = sharedByTheBest(run, students, axes);
  const sentence = shared.length
    ? `Follow the lines: the best tenth of the students mostly share ${listed(shared)}.`
    : "Follow a line from left to right: each is one student, from its settings to its score.";
  fill("lines", heading, sentence,
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All settings at once" },
      figure("lines-figure", sentence, () => linesFigure(run, shown, axes), 430)),
    shown.length < students.length
      && note(`${asCount(shown.length)} of ${asCount(students.length)} students are drawn, evenly over the scores.`),
    note("The more yellow a line, the higher its score; the bluer, the lower. Settings with a single value are left out."));
}

/** Say which settings at least four fifths of the best tenth of the students have in common. */
function sharedByTheBest(run, students, axes) {
  if (students.length <= 20) return [];
  const tenth = [...students].sort((a, b) => b.score - a.score).slice(0, Math.ceil(students.length / 10));
  return axes.filter(({ scale }) => !scale).flatMap(({ name, title, words }) => {
    const groups = [...groupBy(tenth, (student) => student[name])];
    const [value] = groups.find(([, alike]) => alike.length >= 0.8 * tenth.length) ?? [];
    return value === undefined ? [] : [`${title} ${words ? words(run, value) : value}`];
  });
}

/** Keep at most ``most`` items, evenly spread, the last one always. */
function everyNth(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, place) => items[Math.round((place * (items.length - 1)) / (most - 1))]);
}

function linesFigure(run, students, axes) {
  const scales = axes.map((axis) => scaleOf(students, axis));
  const colours = LINE_COLOURS[darkScheme.matches ? "dark" : "light"];
  const traces = colours.map((lineColour, band) => {
    const of = students.filter((_, rank) => Math.floor((rank * colours.length) / students.length) === band);
    const vertices = (each) => of.flatMap((student) => [...axes.map((axis, place) => each(student, axis, place)), null]);
    return {
      type: "scatter", mode: "lines+markers", showlegend: false, connectgaps: false,
      x: vertices((_, __, place) => place), y: vertices((student, axis, place) => scales[place](student)),
      customdata: vertices((student) => student.at),
      text: vertices((student) => `${plain(`${languageOf(run, student.lang)}: ${settingOf(student)}`)}<br>${asScore(student.score)}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { size: 4, color: lineColour }, line: { color: lineColour, width: 1.6 },
      opacity: Math.max(0.35, Math.min(0.9, 60 / students.length)),
    };
  });
  const last = axes.length - 1;
  const ground = themed({}, 0).hoverlabel.bgcolor;
  const labels = axes.flatMap((axis, place) => ticksOf(run, students, axis).map(([y, text]) => ({
    x: place, y, text: plain(clipped(text)), showarrow: false, bgcolor: ground, borderpad: 1, opacity: 0.92, font: { size: 12 },
    xanchor: place === last ? "right" : "left", xshift: place === last ? -6 : 6,
  })));
  return {
    traces,
    layout: {
      xaxis: {
        tickvals: axes.map((_, place) => place), ticktext: axes.map((axis) => axis.title), side: "top",
        gridcolor: "rgba(128,128,128,.8)", zeroline: false, range: [-0.04, last + 0.04],
      },
      yaxis: { visible: false, range: [-0.03, 1.03] }, annotations: labels,
      margin: { l: 36, r: 28, t: 30, b: 6 },
    },
  };
}

function scaleOf(students, { name, scale }) {
  if (scale) {
    const values = students.map((student) => student[name]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (student) => (student[name] - low) / (high - low || 1);
  }
  const places = new Map(inOrder(distinct(students, name)).map((value, place) => [value, place]));
  const ranks = new Map(students.map((student, rank) => [student, rank / students.length - 0.5]));
  // Students of one value fan out a little, by score, so that their lines can be told apart.
  return (student) => 0.06 + (0.88 * (places.get(student[name]) ?? 0)) / Math.max(1, places.size - 1) + 0.1 * ranks.get(student);
}

function ticksOf(run, students, { name, scale, words }) {
  const say = (value) => (words ? words(run, value) : String(value));
  if (!scale) {
    const values = inOrder(distinct(students, name));
    return values.map((value, place) => [0.06 + (0.88 * place) / Math.max(1, values.length - 1), say(value)]);
  }
  const values = students.map((student) => student[name]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [0, 0.5, 1].map((share) => [share, say(low + share * (high - low))]);
}
