"use strict";
// The run's data as the views want them: rows of objects, students and teachers apart, and the few rules of choice.

/** Turn a table of columns (see compact.py) back into rows. */
function rowsOf(table) {
  const rows = Array.from({ length: table.rows }, () => ({}));
  for (const [name, column] of Object.entries(table.columns)) {
    for (let row = 0; row < table.rows; row++) {
      rows[row][name] = "all" in column ? column.all : column.words ? column.words[column.at[row]] : column.each[row];
    }
  }
  return rows;
}

/** Make a run of the page's JSON: steps with their settings, students and undistilled teachers with their step. */
function decode(data) {
  const steps = rowsOf(data.steps);
  const settings = Object.fromEntries(Object.entries(data.settings).map(([kind, table]) => [kind, rowsOf(table)]));
  const met = {};
  steps.forEach((step, at) => {
    met[step.kind] = (met[step.kind] ?? -1) + 1;
    Object.assign(step, { at, settings: settings[step.kind]?.[met[step.kind]] ?? {}, curves: data.curves[at] ?? [] });
  });
  const records = rowsOf(data.records);
  for (const record of records) {
    steps[record.at].record = record;
    record.key = steps[record.at].key;
  }
  const isTeacher = (record) => record.recipe === "teacher";
  const students = records.filter((record) => !isTeacher(record));
  const teachers = records.filter(isTeacher);
  for (const student of students) {
    const taught = teachers.find((one) => isTaughtFrom(one) && one.lang === student.lang && one.teacher === student.teacher);
    const inTarget = student.validation_lang === student.lang;
    const known = !inTarget && student.agreement != null && taught?.validation_score != null;
    student.promise = known ? student.agreement * taught.validation_score : null;
  }
  return { ...data, steps, students, teachers };
}

/** Tell the task teacher of students from teachers tuned otherwise, which are compared with it. */
function isTaughtFrom(teacher) {
  return teacher.agreement == null;
}

/**
 * Choose a student as the run does: by validation among those of a recipe, by what they promise among recipes, which
 * those do not that were validated in their own language.
 */
function bestOf(students) {
  const chosen = [...groupBy(students, (student) => student.recipe).values()].map(bestByValidation);
  if (!chosen.every((student) => student.promise != null)) return bestByValidation(chosen);
  return highest(chosen, (student) => [student.promise, student.agreement, ...merit(student)]);
}

/** The highest validation score, among equals the fewest parameters, then agreement; in the end the step's name decides. */
function bestByValidation(students) {
  return highest(students, merit);
}

const merit = (student) => [
  student.validation_score ?? -Infinity, -student.params, student.agreement ?? -Infinity, student.key,
];

/** The item whose list of values is the highest, the first that differs deciding. */
function highest(items, values) {
  const isHigher = (one, other) => {
    const [mine, theirs] = [values(one), values(other)];
    const at = mine.findIndex((value, place) => value !== theirs[place]);
    return at >= 0 && mine[at] > theirs[at];
  };
  return items.reduce((best, item) => (best && !isHigher(item, best) ? best : item), undefined);
}

/** Keep the points that nothing beats in both: cheaper (by ``cost``) and better (by score); cheapest first. */
function paretoFront(records, cost) {
  const front = [];
  for (const record of records.filter((one) => one[cost] != null).sort((a, b) => a[cost] - b[cost] || b.score - a.score)) {
    if (!front.length || record.score > front[front.length - 1].score) front.push(record);
  }
  return front;
}

/** Group by a key, in the order of first occurrence. */
function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

function distinct(items, name) {
  return [...new Set(items.map((item) => item[name]).filter((value) => value != null))];
}

/** Sort numbers by size and words by the alphabet. */
function inOrder(values) {
  return [...values].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

// How numbers and names are written.
const TASKS = {
  ner: "named entities (NER)", pos: "parts of speech (POS)", dep: "dependency parsing", nli: "inference (NLI)",
  qa: "question answering", topic: "topics", sentiment: "sentiment",
};
const METRICS = { f1: "F1", las: "LAS", uas: "UAS", accuracy: "accuracy" };
const asScore = (value) => (value == null ? "–" : value.toFixed(3));
const asPercent = (value) => (value == null ? "–" : `${Math.round(100 * value)}%`);
const asMillions = (value) => (value == null ? "–" : `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} M`);
const asMegabytes = (value) => (value == null ? "–" : `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} MB`);
const asMilliseconds = (value) => (value == null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
const asCount = (value) => (value == null ? "–" : value.toLocaleString("en"));

function asTokens(value) {
  if (value == null) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} billion`;
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} million` : asCount(Math.round(value));
}

/** "1.2 of 3.6 million": the unit once where both have it. */
function partOfTokens(part, whole) {
  const [some, all] = [asTokens(part), asTokens(whole)];
  const [, number, unit] = /^(\S+)( .+)?$/.exec(some);
  return unit && all.endsWith(unit) ? `${number} of ${all}` : `${some} of ${all}`;
}

function asDuration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

function plural(count, word) {
  return `${asCount(count)} ${word}${count === 1 ? "" : "s"}`;
}

/** Join words as a sentence does: "a, b and c". */
function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

function languageOf(run, code) {
  return run.run.languages[code] ?? code;
}
