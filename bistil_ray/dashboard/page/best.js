"use strict";
// Each language's best student beside its teacher and the baselines.

/** For every language in view: its best student, that one's teacher, and the best student of every other recipe. */
function bestRows(run) {
  const rows = [];
  for (const [lang, students] of groupBy(run.students.filter(passes), (student) => student.lang)) {
    const best = bestOf(students);
    const teachers = run.teachers.filter((teacher) => teacher.lang === lang && teacher.teacher === best.teacher);
    const others = [...groupBy(students, (student) => student.recipe)]
      .filter(([recipe]) => recipe !== best.recipe).map(([recipe, alike]) => [recipe, bestOf(alike)]);
    rows.push({ lang, name: languageOf(run, lang), best, others: Object.fromEntries(others),
      teacher: teachers.find(isTaughtFrom) ?? teachers[0] });
  }
  return rows.sort((a, b) => b.best.score - a.best.score);
}

function drawBest(run) {
  const rows = bestRows(run);
  if (!rows.length) {
    fill("best", "The best student of each language", noStudents(run));
    return;
  }
  const recipes = [...new Set(rows.flatMap((row) => Object.keys(row.others)))];
  const columns = [
    ["language", (row) => row.name],
    ["best student", (row) => stepButton(run, run.steps[row.best.at], settingOf(row.best))],
    [run.metric, (row) => el("strong", {}, asScore(row.best.score)), true],
    ["of its teacher", (row) => asPercent(row.best.retention), true],
    ["teacher", (row) => (row.teacher ? stepButton(run, run.steps[row.teacher.at], asScore(row.teacher.score)) : "–"), true],
    ...recipes.map((recipe) => [recipe, (row) =>
      (row.others[recipe] ? stepButton(run, run.steps[row.others[recipe].at], asScore(row.others[recipe].score)) : "–"), true]),
    ["parameters", (row) => asMillions(row.best.params), true],
    ["size", (row) => asMegabytes(row.best.bytes), true],
    ["latency", (row) => asMilliseconds(row.best.latency_ms), true],
  ];
  fill("best", "The best student of each language", bestSentence(run, rows),
    figure("best-figure", bestSentence(run, rows), () => bestFigure(run, rows, recipes), 110 + 38 * rows.length),
    table(`${run.metric} on the test set, with the best student of every other recipe`, columns, rows),
    note("The best student of a recipe is the one with the highest score on validation data of the source language; among recipes "
      + "counts how far it agrees in the target language with its teacher, times the teacher's own validation score. Where labels of the "
      + "target were learned from, its own validation data choose instead, where there are any. No test label has a part in the choice, so "
      + "it need not be the student with the highest test score. Latency is the median for one text of 128 tokens on one CPU thread."));
}

function noStudents(run) {
  return run.students.length
    ? "No student fits the filters above."
    : "No student has been scored yet. Each appears here, and in more views to come, as soon as its last step, finetune, is done.";
}

/** Say a student's settings in a few words. */
function settingOf(student) {
  const shape = student.hidden ? `${student.layers} × ${student.hidden}` : student.layers && plural(student.layers, "layer");
  const parts = [student.recipe, student.assignment ?? student.teacher, shape];
  if (student.density != null) parts.push(`density ${student.density}`);
  if (student.seed) parts.push(`seed ${student.seed}`);
  return parts.filter(Boolean).join(" · ");
}

function bestSentence(run, rows) {
  const kept = rows.filter((row) => row.best.retention != null && row.teacher);
  if (!kept.length) {
    const scores = rows.slice(0, 3).map((row) => `${asScore(row.best.score)} in ${row.name}`);
    return `The best students score ${listed(scores)}.`;
  }
  const size = `with ${asPercent(mean(kept.map((row) => row.best.params / row.teacher.params)))} of the parameters`;
  const keeps = (row) => `${asPercent(row.best.retention)} in ${row.name}`;
  if (kept.length <= 3) return `Of its teacher’s ${run.metric} the best student keeps ${listed(kept.map(keeps))}, ${size}.`;
  const order = [...kept].sort((a, b) => a.best.retention - b.best.retention);
  const average = asPercent(mean(kept.map((row) => row.best.retention)));
  return `Over ${plural(kept.length, "language")} the best students keep ${average} of their teachers’ ${run.metric} on average `
    + `(from ${keeps(order[0])} to ${keeps(order[order.length - 1])}), ${size}.`;
}

function bestFigure(run, rows, recipes) {
  const names = rows.map((row) => plain(row.name));
  const marks = (name, of, place, size) => ({
    type: "scatter", mode: "markers", name: plain(name), y: names, x: rows.map((row) => of(row)?.score ?? null),
    customdata: rows.map((row) => of(row)?.at), text: rows.map((row) => (of(row) ? plain(settingOf(of(row))) : "")),
    hovertemplate: `%{text}<br>%{y}: %{x:.3f}<extra>${plain(name)}</extra>`,
    marker: { color: colour(place), symbol: symbol(place), size, line: { width: 1, color: "rgba(128,128,128,.6)" } },
  });
  const spans = {
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: "rgba(128,128,128,.45)", width: 3 },
    x: rows.flatMap((row) => [row.best.score, row.teacher?.score ?? row.best.score, null]),
    y: names.flatMap((name) => [name, name, null]),
  };
  return {
    traces: [spans, marks("its teacher", (row) => row.teacher, 7, 13),
      ...recipes.map((recipe, place) => marks(`best ${recipe}`, (row) => row.others[recipe], place + 1, 10)),
      marks("best student", (row) => row.best, 0, 16)],
    layout: {
      xaxis: { title: { text: `${run.metric} on the test set` } },
      yaxis: { autorange: "reversed", type: "category" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "reversed" },
    },
  };
}
