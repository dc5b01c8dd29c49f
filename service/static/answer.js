// The answer to one row: a label with bars, a value, or several of them.

import { bar, fill, h, percent, said, text } from "./dom.js";

const MOST_BARS = 12;
const TITLES = { classifier: "Predicted class", regressor: "Predicted value", transformer: "Values" };

/** What an answer says of one of its rows. */
export const rowOf = ({ predictions, probabilities, scores, classes }, row) =>
	({ prediction: predictions[row], probabilities: probabilities?.[row], scores: scores?.[row], classes });

export function show(element, task, { prediction, probabilities, scores, classes }) {
	const several = Array.isArray(prediction);
	const pairs = (values, name, more) => h("dl.pairs", values.map((value, i) => [h("dt", name(i)), h("dd", said(value), more?.(i))]));
	fill(
		element,
		h("p.note", TITLES[task] ?? "Answer"),
		several ? pairs(prediction, (i) => `Output ${i + 1}`, (i) => probabilities && bars(classes?.[i] ?? [], probabilities[i])) : h("p.label", said(prediction)),
		task === "outlier_detector" && h("p.note", prediction < 0 ? "−1: this row is an outlier." : "1: this row is not an outlier."),
		!several && probabilities && bars(classes, probabilities),
		typeof scores === "number" && h("p", "Score ", said(scores), classes && `: above 0 is ${text(classes[1])}`),
		Array.isArray(scores) && [h("p.note", "Scores"), pairs(scores, (i) => text(classes?.[i] ?? i + 1))],
	);
}

/** A bar for each class, in the model's order; of many classes, the likeliest. */
function bars(classes, shares) {
	let shown = shares.map((share, i) => ({ share, label: text(classes[i] ?? i) }));
	if (shown.length > MOST_BARS) shown = shown.sort((a, b) => b.share - a.share).slice(0, MOST_BARS);
	const more = shares.length - shown.length;
	const best = Math.max(...shares);
	return h("div.stack", h("ul.stack.bars", { "aria-label": "Probabilities" }, shown.map(({ share, label }) =>
		h("li", { class: share === best && "best" }, h("span", label), h("data", { value: share }, percent(share)), bar(share)))),
	more > 0 && h("p.note", `and ${more} less likely classes`));
}
