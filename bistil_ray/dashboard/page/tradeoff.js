"use strict";
// What quality costs: in size and in time, with the students that nothing beats; and teacher against density.

const COSTS = {
  bytes: { name: "size", unit: "MB", scale: 1e6, smaller: "smaller" },
  latency_ms: { name: "latency", unit: "ms", scale: 1, smaller: "faster" },
};

function drawTradeoff(run) {
  const students = run.students.filter(passes);
  const teachers = run.teachers.filter(passes);
  const heading = "Quality against size and latency";
  if (!students.length) return leaveOut("tradeoff");
  const boxes = Object.entries(COSTS).map(([cost, { name }]) => el("div", {},
    el("h3", {}, `Quality against ${name}`),
    figure(`front-${cost}`, `Scores of ${plural(students.length, "student")} against ${name}`,
      () => frontFigure(run, students, teachers, cost), 400)));
  fill("tradeoff", heading, frontSentence(run, students), el("div", { class: "pair" }, boxes),
    note("Every mark is a model; open marks are undistilled teachers. The line of a language joins its Pareto front, the students "
      + "that no other beats in both: going left from one always costs quality. Click a mark to see how it was made."));
}

function frontSentence(run, students) {
  const parts = [...groupBy(students, (student) => student.lang)].map(([lang, ofLang]) => {
    const front = paretoFront(ofLang, "bytes");
    return `${front.length} of ${ofLang.length} in ${languageOf(run, lang)}`;
  });
  const many = parts.length > 4 ? `${parts.slice(0, 4).join(", ")} and so on` : listed(parts);
  return `Few students are worth a look, up and to the left is better: ${many} are on the front of quality and size.`;
}

function frontFigure(run, students, teachers, cost) {
  const { name, unit, scale } = COSTS[cost];
  const languages = Object.keys(run.run.languages);
  const small = students.length > 500;
  const traces = [];
  for (const [lang, ofLang] of groupBy(students, (student) => student.lang)) {
    const place = languages.indexOf(lang);
    const title = plain(languageOf(run, lang));
    const front = paretoFront(ofLang, cost);
    const marks = (records, mode, more) => ({
      type: "scatter", mode, legendgroup: lang, name: title, showlegend: false,
      x: records.map((record) => (record[cost] == null ? null : record[cost] / scale)), y: records.map((record) => record.score),
      customdata: records.map((record) => record.at), text: records.map((record) => plain(settingOf(record))),
      hovertemplate: `%{text}<br>%{y:.3f} at %{x:.4~g} ${unit}<extra>${title}</extra>`, ...more,
    });
    const look = { color: colour(place), symbol: symbol(place) };
    traces.push(
      marks(ofLang, "markers", { marker: { ...look, size: small ? 5 : 8, opacity: small ? 0.3 : 0.45 } }),
      marks(front, "lines+markers", {
        showlegend: true, line: { color: colour(place), width: 2, shape: "hv" }, marker: { ...look, size: small ? 9 : 11 },
      }),
      marks(teachers.filter((teacher) => teacher.lang === lang), "markers",
        { marker: { ...look, symbol: `${symbol(place)}-open`, size: 12, line: { width: 2 } } }),
    );
  }
  return {
    traces,
    layout: {
      xaxis: { title: { text: `${name} (${unit})` }, rangemode: "tozero" },
      yaxis: { title: { text: `${run.metric} on the test set` } },
    },
  };
}

const MOST_HEAT_MAPS = 12;

function drawHeat(run) {
  const students = run.students.filter((student) => passes(student) && student.density != null);
  const heading = "Teacher and density";
  const densities = inOrder(distinct(students, "density"));
  const teachers = distinct(students, "teacher");
  if (densities.length < 2 && teachers.length < 2) return leaveOut("heat"); // nothing to compare
  const languages = [...groupBy(students, (student) => student.lang)];
  const cells = languages.flatMap(([, ofLang]) => heatCells(ofLang, teachers, densities)).flat();
  const scores = cells.filter(Boolean).map((student) => student.score);
  const range = [Math.min(...scores), Math.max(...scores)];
  const maps = languages.slice(0, MOST_HEAT_MAPS).map(([lang, ofLang]) => el("div", {},
    el("h3", {}, languageOf(run, lang)),
    figure(`heat-${lang}`, `Scores by teacher and density in ${lang}`,
      () => heatFigure(ofLang, teachers, densities, range), 120 + 56 * teachers.length)));
  fill("heat", heading, heatSentence(languages), el("div", { class: "maps" }, maps),
    languages.length > MOST_HEAT_MAPS
      && note(`${MOST_HEAT_MAPS} of ${languages.length} languages are shown; choose others with the filter above.`),
    note("A cell is the best student, by validation score, of that teacher at that density (the share of the encoder’s parameters "
      + "that fine-tuning may change); one colour scale for all languages, from the lowest cell (blue) to the highest (yellow)."));
}

function heatSentence(languages) {
  const best = languages.map(([, ofLang]) => bestOf(ofLang));
  const wins = groupBy(best, ({ teacher, density }) => `${teacher} at density ${density}`);
  const [place, won] = [...wins].sort((a, b) => b[1].length - a[1].length)[0];
  return languages.length === 1
    ? `The best student comes from ${place}.`
    : `In ${won.length} of ${languages.length} languages the best student comes from ${place}.`;
}

/** The best student of each teacher (rows) at each density (columns). */
function heatCells(students, teachers, densities) {
  const alike = groupBy(students, (student) => `${student.density} ${student.teacher}`);
  return teachers.map((teacher) => densities.map((density) => bestOf(alike.get(`${density} ${teacher}`) ?? [])));
}

/** Shorten a long name in its middle, so that names which differ at an end still do. */
function clipped(name, most = 18) {
  return name.length <= most ? name : `${name.slice(0, most / 2)}…${name.slice(1 - most / 2)}`;
}

function heatFigure(students, teachers, densities, [low, high]) {
  const cells = heatCells(students, teachers, densities);
  return {
    traces: [{
      type: "heatmap", colorscale: "Cividis", zmin: low, zmax: high, showscale: false, xgap: 3, ygap: 3,
      x: densities.map(String), y: teachers.map((_, row) => row),
      z: cells.map((row) => row.map((student) => student?.score ?? null)),
      customdata: cells.map((row) => row.map((student) => student?.at)),
      text: cells.map((row) => row.map((student) => (student ? plain(settingOf(student)) : ""))),
      texttemplate: "%{z:.3f}", hovertemplate: "%{text}<br>%{z:.3f}<extra></extra>",
    }],
    layout: {
      xaxis: { type: "category", title: { text: "density" }, showgrid: false, tickangle: 0, tickfont: { size: 11 } },
      yaxis: { tickvals: teachers.map((_, row) => row), ticktext: teachers.map((teacher) => plain(clipped(teacher))),
        showgrid: false, autorange: "reversed" },
    },
  };
}
