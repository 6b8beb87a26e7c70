"use strict";
// Learning curves by loss term, and bits per character on held-out text.

const QUANTITIES = {
  bits_per_character: "bits per character, target language", loss: "loss, all terms", loss_hidden: "loss: hidden states",
  loss_attention: "loss: attention maps", loss_logits: "loss: the teacher’s answers", loss_l1: "loss: pull to the start",
};
const MOST_CURVES_DRAWN = 40;
const seen = { kind: undefined, name: undefined };

function quantity(name) {
  if (name.startsWith("bits_per_character_")) return `bits per character, ${name.slice(19)}`;
  return QUANTITIES[name] ?? name.replace(/^loss_/, "loss: ").replace(/_/g, " ");
}

/** The part of training that a curve belongs to, as one chooses it. */
function partOf(step, curve) {
  return curve.phase ? `${step.kind}, ${curve.phase} phase` : step.kind;
}

function drawCurves(run) {
  const heading = "Learning curves";
  const steps = run.steps.filter((step) => step.curves.length && passes(step));
  const parts = new Map();
  for (const step of steps) {
    for (const curve of step.curves) {
      const part = partOf(step, curve);
      if (!parts.has(part)) parts.set(part, new Set());
      parts.get(part).add(curve.name);
    }
  }
  if (!parts.size) {
    fill("curves", heading, "No step has reported a loss yet.");
    return;
  }
  if (!parts.has(seen.kind)) seen.kind = parts.has("distil") ? "distil" : [...parts.keys()][0];
  const names = [...parts.get(seen.kind)].sort((a, b) => Object.keys(QUANTITIES).indexOf(a) - Object.keys(QUANTITIES).indexOf(b));
  if (!names.includes(seen.name)) seen.name = ["bits_per_character", "loss", ...names].find((name) => names.includes(name));
  const lines = steps.flatMap((step) => step.curves
    .filter((curve) => partOf(step, curve) === seen.kind && curve.name === seen.name).map((curve) => ({ step, curve })));
  const shown = lines.slice(0, MOST_CURVES_DRAWN);
  const pick = (label, name, values, words) => el("label", {}, `${label} `, el("select", {
    "data-pick": name,
    change: ({ target }) => {
      seen[name] = target.value;
      drawCurves(run);
      document.querySelector(`[data-pick=${name}]`).focus();
    },
  }, values.map((value) => el("option", { value, selected: value === seen[name] }, words(value)))));
  const sentence = curveSentence(run, lines);
  fill("curves", heading, sentence,
    el("p", { class: "controls" },
      pick("Training:", "kind", [...parts.keys()], (part) => part), pick("Quantity:", "name", names, quantity)),
    figure("curves-figure", sentence, () => curveFigure(run, shown), 420),
    shown.length < lines.length
      && note(`${shown.length} of ${lines.length} lines are drawn; choose others with the filters above.`),
    note("Lines end where training stood; hover one to see whose it is. Long curves are thinned: a point is the mean of its "
      + "neighbours. Bits per character on held-out text, lower is better, is the one figure that students of any teacher "
      + "and shape share."));
}

function curveSentence(run, lines) {
  if (seen.name.startsWith("bits_per_character")) {
    const best = lines.filter(({ step }) => step.lang).sort((a, b) => a.curve.values.at(-1) - b.curve.values.at(-1))[0];
    if (best) {
      const bits = best.curve.values.at(-1).toFixed(2);
      return `The lowest so far is ${bits} bits per character: ${languageOf(run, best.step.lang)}, ${settingOf(best.step)}.`;
    }
  }
  const falling = lines.filter(({ curve }) => curve.values.at(-1) < curve.values[0]).length;
  return `${falling === lines.length ? `All ${lines.length}` : `${falling} of ${lines.length}`} curves end lower than they began.`;
}

function curveFigure(run, lines) {
  const languages = Object.keys(run.run.languages);
  const met = new Set();
  const traces = lines.map(({ step, curve }) => {
    const place = Math.max(0, languages.indexOf(step.lang));
    const first = !met.has(step.lang);
    met.add(step.lang);
    const title = plain(step.lang ? languageOf(run, step.lang) : step.teacher || step.kind);
    const alike = run.steps.filter((other) => other.kind === step.kind && other.lang === step.lang);
    return {
      type: "scatter", mode: curve.values.length < 15 ? "lines+markers" : "lines",
      name: title, legendgroup: title, showlegend: first,
      x: curve.tokens, y: curve.values, customdata: curve.tokens.map(() => step.at),
      line: { color: colour(place), width: 2, dash: ["solid", "dash", "dot", "dashdot"][alike.indexOf(step) % 4] },
      marker: { symbol: symbol(place), size: 6, color: colour(place) },
      hovertemplate: `${plain(settingOf(step))}<br>%{y:.4~g} after %{x:,.3~s} tokens<extra>${title}</extra>`,
    };
  });
  const layout = { xaxis: { title: { text: "tokens" }, rangemode: "tozero" }, yaxis: { title: { text: quantity(seen.name) } } };
  return { traces, layout };
}
