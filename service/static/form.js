// One field for each feature, made from the model's card.

import { h, short } from "./dom.js";
import { allowed, isNumber, toText } from "./features.js";

const FEW_CHOICES = 4;
const MANY_FEATURES = 20;
const STEPS = 200;

/** The fields of a model. `raws` has what they say: text, or null if missing. */
export class Form {
	constructor(features, raws, changed) {
		this.raws = raws;
		this.fields = features.map((feature, i) => fieldOf(feature, `f${i}`, raws[i], (raw) => {
			this.raws[i] = raw;
			changed();
		}));
		const many = features.length > MANY_FEATURES;
		this.element = h("div.stack", many && this.finder(features), h("div.fields", this.fields.map((field) => field.element)));
	}

	set(raws) {
		this.raws = raws;
		this.fields.forEach((field, i) => field.show(raws[i]));
	}

	/** Show a sentence at one field, and none at the others. */
	mark(position, sentence) {
		this.fields.forEach((field, i) => field.mark(i === position ? sentence : ""));
	}

	finder(features) {
		const found = h("span.note", { role: "status" });
		const input = h("input#find", { type: "search", oninput: () => {
			const fits = features.map((each) => each.name.toLowerCase().includes(input.value.trim().toLowerCase()));
			this.fields.forEach((field, i) => { field.element.hidden = !fits[i]; });
			found.textContent = `${fits.filter(Boolean).length} shown`;
		} });
		return h("p.line", h("label", { for: "find" }, `Find one of ${features.length} features`), input, found);
	}
}

function fieldOf(feature, id, raw, changed) {
	const choices = choicesOf(feature);
	const make = choices ? (choices.length <= FEW_CHOICES ? radios : select) : feature.type === "bool" ? toggle : typed;
	const fault = h(`p.fault#${id}-fault`);
	const field = make({ feature, id, choices, changed, about: { "aria-describedby": `${id}-hint ${id}-fault` } });
	field.element.append(fault);
	field.mark = (sentence) => {
		fault.textContent = sentence;
		field.control[sentence ? "setAttribute" : "removeAttribute"]("aria-invalid", "true");
	};
	field.show(raw);
	return field;
}

/** The choices, a missing value among them: [raw, label]; null if there is no list, or other values are taken, too. */
function choicesOf(feature) {
	const flags = feature.type === "bool" && feature.missing ? ["true", "false"] : null;
	const known = allowed(feature)?.map(String) ?? flags;
	return known && [...known.map((raw) => [raw, raw || "(empty)"]), ...(feature.missing ? [[null, "missing"]] : [])];
}

function radios({ feature, id, choices, changed, about }) {
	const inputs = choices.map(([raw], i) => h(`input#${id}-${i}`, { type: "radio", name: id, onchange: () => changed(raw), ...about }));
	const items = inputs.map((input, i) => h("span.choice", input, h("label", { for: input.id }, choices[i][1])));
	const control = h("fieldset.field", { role: "radiogroup" }, h("legend", feature.name), h("div.line", items));
	return { element: control, control, show: (raw) => inputs.forEach((input, i) => { input.checked = choices[i][0] === raw; }) };
}

function select({ feature, id, choices, changed, about }) {
	const control = h(`select#${id}`, { onchange: () => changed(choices[control.selectedIndex][0]), ...about },
		choices.map(([, label]) => h("option", label)));
	const show = (raw) => { control.selectedIndex = choices.findIndex(([each]) => each === raw); };
	return { element: h("div.field", nameOf(feature, id), control), control, show };
}

function toggle({ feature, id, changed, about }) {
	const word = h("span.note", { "aria-hidden": "true" });
	const show = (raw) => {
		control.checked = raw === "true";
		word.textContent = raw;
	};
	const control = h(`input#${id}`, { type: "checkbox", role: "switch", onchange: () => {
		show(String(control.checked));
		changed(String(control.checked));
	}, ...about });
	return { element: h("div.field", h("div.head", nameOf(feature, id), word, control)), control, show };
}

/** A field to type in: numbers with a slider, texts, categories. */
function typed({ feature, id, changed, about }) {
	const { categories, missing, range } = feature;
	const long = feature.type === "text";
	const numeric = isNumber(feature);
	const known = categories && h(`datalist#${id}-known`, categories.map((value) => h("option", { value })));
	const control = h(`${long ? "textarea" : "input"}#${id}`, {
		autocomplete: "off", inputmode: numeric && "decimal", list: known?.id, oninput: () => take(control.value), ...about,
	});
	const slider = numeric && range?.[0] < range?.[1] && h("input", {
		type: "range", min: range[0], max: range[1], step: feature.type === "int" ? 1 : stepOf(range[1] - range[0]),
		"aria-label": `${feature.name}, slider`, oninput: () => take(slider.value),
	});
	const skip = missing && h(`input#${id}-missing`, { type: "checkbox", onchange: () => take(skip.checked ? null : before) });
	const hint = h(`span#${id}-hint`);
	let before = toText(feature.example ?? range?.[0]) ?? "";

	const show = (raw) => {
		before = raw ?? before;
		if (control.value !== (raw ?? "")) control.value = raw ?? "";
		control.placeholder = raw === null ? "missing" : "";
		if (skip) skip.checked = raw === null;
		if (slider && Number.isFinite(Number(raw))) slider.value = raw ?? range[0];
		const odd = isOdd(feature, raw);
		hint.classList.toggle("odd", odd);
		hint.textContent = hintOf(feature, odd);
	};
	const take = (value) => {
		const raw = value === "" && missing && numeric ? null : value;
		show(raw);
		changed(raw);
	};

	const ask = skip && h("label.line", skip, "missing", h("span.hidden", `: ${feature.name}`));
	const head = h("div.head", nameOf(feature, id), !long && control);
	return { element: h(long ? "div.field.wide" : "div.field", head, long && control, slider, h("div.below.note", hint, ask), known), control, show };
}

const nameOf = (feature, id) => h("label.name", { for: id }, feature.name.trim() || "(blank)");

/** A step of 1, 2 or 5 times a power of ten, `STEPS` in a range. */
function stepOf(span) {
	const power = 10 ** Math.floor(Math.log10(span / STEPS));
	return Number((power * [1, 2, 5, 10].find((each) => each * power * STEPS >= span * 0.999)).toPrecision(1));
}

/** Whether the model has not seen the like. */
function isOdd({ type, categories, range }, raw) {
	if (!raw?.trim()) return false;
	if (categories) return !categories.map(String).includes(raw);
	return type !== "text" && Boolean(range) && (Number(raw) < range[0] || Number(raw) > range[1]);
}

function hintOf({ categories, range, period = range }, odd) {
	if (categories) return odd ? "Not among the categories that the model knows." : "Other values are taken, too.";
	const said = period?.map(short).join(" to ") ?? "";
	return odd ? `Outside the training range, ${said}` : said;
}
