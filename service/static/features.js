// What a feature takes, by the model's card. The sentences are those of the service (service/feature.py).

import { listed } from "./dom.js";

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const FLAG = /^(true|True|TRUE|false|False|FALSE)$/;
const KINDS = { float: "a number", int: "a whole number", bool: "true or false", category: "a string", text: "a string" };

export const isNumber = (feature) => feature.type === "float" || feature.type === "int";

/** The only values that are taken, or null if there is no such list. */
export const allowed = (feature) => (feature.open ? null : feature.categories ?? null);

/** A value as a field shows it; null is a missing one. */
export const toText = (value) => (value == null ? null : String(value));

/** The value of a field as JSON. Digits are kept as they were typed; what is no number goes out as text. */
export function toJSON(feature, raw) {
	if (raw === null) return "null";
	const typed = raw.trim();
	if (feature.type === "bool" && FLAG.test(typed)) return typed.toLowerCase();
	return isNumber(feature) && NUMBER.test(typed) ? typed : JSON.stringify(raw);
}

/** A row as an object of JSON, by name. */
export const rowJSON = (features, raws) =>
	`{${features.map((each, i) => `${JSON.stringify(each.name)}: ${toJSON(each, raws[i])}`).join(", ")}}`;

/** A cell of a CSV file as the value of a field: nothing at all is a missing value, if the model takes one. */
export const fromCell = (feature, cell) => (cell === "" && feature.missing ? null : cell);

/** Why a value is not taken, in the service's words; null if the card says nothing against it. */
export function refusal(feature, raw) {
	if (!(feature.type in KINDS)) return null; // a type that only the service knows
	if (raw === null) return feature.missing ? null : `${feature.name} must be ${wants(feature)}, not null.`;
	const wrong = `${feature.name} must be ${wants(feature)}.`;
	const typed = raw.trim();
	if (feature.type === "bool") return FLAG.test(typed) ? null : wrong;
	if (!isNumber(feature)) return allowed(feature)?.includes(raw) === false ? wrong : null;
	if (!NUMBER.test(typed)) return wrong;
	const number = Number(typed);
	const limit = feature.limit ?? Number.MAX_VALUE;
	if (!(Math.abs(number) <= limit)) {
		return `${feature.name} is too large for this model: it computes with numbers up to ${general(limit, 4)}.`;
	}
	if (feature.type === "int" && !(Number.isInteger(number) && Math.abs(number) <= Number.MAX_SAFE_INTEGER)) {
		return `${feature.name} must be a whole number of less than 2^53.`;
	}
	return allowed(feature)?.includes(number) === false ? wrong : null;
}

/** What a value must be, as the end of a sentence. */
function wants(feature) {
	const values = allowed(feature)?.map((each) => (typeof each === "string" ? `"${each}"` : general(each, 15)));
	const kind = values ? `one of ${listed(values, 20)}` : KINDS[feature.type];
	return feature.missing ? `${kind} or null` : kind;
}

/** A number as Python's format "g" writes it. */
function general(number, digits) {
	if (number === 0) return "0";
	const [mantissa, power] = number.toExponential(digits - 1).split("e");
	const trim = (written) => (written.includes(".") ? written.replace(/\.?0+$/, "") : written);
	if (power >= -4 && power < digits) return trim(number.toFixed(digits - 1 - power));
	return `${trim(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

/** The row and the position of the feature that an error's pointer names; -1 if it names none. */
export function pointedAt(features, pointer) {
	const parts = (pointer ?? "").split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
	const [row, cell] = parts.slice(2).map((part) => (/^\d+$/.test(part) ? Number(part) : -1));
	const named = features.findIndex((each) => each.name === parts[3]);
	return { row: row ?? -1, feature: named < 0 && cell < features.length ? cell : named };
}
