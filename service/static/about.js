// The model card: what the model takes and gives, how it was made, and which versions there are.

import { modelPath, statesOf } from "./api.js";
import { bar, count, fill, grid, grouped, h, listed, said, short, text } from "./dom.js";

const DOES = { regressor: "Estimates a value", clusterer: "Finds a cluster", outlier_detector: "Finds outliers", transformer: "Transforms rows" };
const RUNTIMES = { onnx: "ONNX Runtime", sklearn: "scikit-learn" };
const PARTS = { sample: "of the sample", far: "far outside it", gaps: "with missing values", thresholds: "at thresholds of trees" };
const TYPES = { float: "number", int: "whole number", bool: "true or false" };
const HEADS = [["Name"], ["Type"], ["Range or values"], ["Missing value"], ["Example"]];
const MOST = 12;

/** "Picks one of 3 classes, from 4 features" */
export function summary({ task, classes = [], features }) {
	const picks = !classes.length || Array.isArray(classes[0]) ? "Picks classes" : `Picks one of ${classes.length} classes`;
	return `${task === "classifier" ? picks : DOES[task] ?? task}, from ${count(features.length, "feature")}`;
}

export class About {
	constructor(card, version) {
		const path = modelPath(card.name, version);
		const versions = h("ul.stack");
		statesOf(card.name).then((all) => showVersions(versions, all));
		this.element = h(
			"div.about",
			h("section.panel.stack", h("h2", "Model"), facts(card), h("p.note", "The same as JSON: ", h("a", { href: path }, path))),
			h("div.stack", card.importances && weights(card), h("section.panel.stack", h("h2", "Versions"), versions)),
			h("section.panel.stack.wide", h("h2", "Features"), grid("Features", HEADS, card.features.map(lineOf))),
		);
	}
}

export const showVersions = (list, versions) => fill(list, versions.map(({ version, state, reason }) =>
	h("li.line", `Version ${version}`, h("span.state", { class: state }, state === "UNAVAILABLE" ? "refused" : state.toLowerCase()), reason && h("span.note", reason))));

function facts(card) {
	const { classes, created, libraries = {}, runtime, proof } = card;
	return h("dl.pairs", Object.entries({
		Task: card.task.replace("_", " "),
		Classes: classes && labels(classes),
		Made: `${created.slice(0, 16).replace("T", " ")} UTC`,
		"Made with": Object.entries(libraries).map((library) => library.join(" ")).join(", "),
		"Served by": RUNTIMES[runtime] ?? runtime,
		Proof: proof && proofOf(proof),
	}).map(([name, value]) => value && [h("dt", name), h("dd", value)]));
}

const labels = (values) => listed(values.map((each) => (Array.isArray(each) ? `(${each.map(text).join(", ")})` : text(each))), MOST);

function proofOf({ holds, rows = 0, difference = 0, reason = "", parts = {} }) {
	if (reason) return `${holds ? "Not compared" : "Not converted, so the model's own library answers"}: ${reason}`;
	const kinds = Object.entries(parts).filter(([, number]) => number).map(([name, number]) => `, ${grouped(number)} ${PARTS[name] ?? name}`);
	return `The converted model gave the original's answers for ${count(rows, "row")}${kinds.join("")}. Largest difference: ${difference.toPrecision(2)}`;
}

const lineOf = ({ name, type, missing, example = null, ...feature }) => h("tr", h("th", { scope: "row" }, name), h("td", TYPES[type] ?? type),
	h("td", type === "bool" ? "" : taken(feature)), h("td", missing ? "taken" : "refused"), h("td", said(example)));

function taken({ categories, open, range, period = range }) {
	if (categories) return labels(categories) + (open ? "; others, too" : "");
	return period ? `${period.map(short).join(" to ")} in training` : "";
}

/** Coefficients or importances, as bars from a middle line or from the left. */
function weights({ importances: { kind, columns, values, total }, classes }) {
	const plot = h("table.weights", { class: kind });
	const draw = (row) => fill(plot, bars(columns, values[row]));
	draw(0);
	const options = values.length === classes?.length ? classes.map(text) : values.map((_, i) => `Output ${i + 1}`);
	const linear = kind === "coefficients";
	return h(
		"section.panel.stack", h("h2", linear ? "Coefficients" : "Importances"),
		values.length > 1 && h("label", "For ", h("select#weights", { onchange: (event) => draw(event.target.selectedIndex) }, options.map((each) => h("option", each)))),
		plot,
		h("p.note", linear ? `How much the score${classes?.length === 2 ? ` for ${text(classes[1])}` : ""} changes if a column of the last step's input grows by one.` : "The share of each column in the decisions, of 1 in all.",
			total > columns.length && ` The ${columns.length} weightiest of ${grouped(total)} columns.`),
	);
}

function bars(names, values) {
	const most = Math.max(...values.map(Math.abs)) || 1;
	const order = [...names.keys()].sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
	return h("tbody", order.map((i) => h("tr", h("th", { scope: "row" }, names[i]),
		h("td.plot", bar(Math.abs(values[i]) / most, values[i] < 0 && "minus")), h("td", h("data", { value: values[i] }, Number(values[i].toPrecision(3)))))));
}
