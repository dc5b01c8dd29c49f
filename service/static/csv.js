// CSV (RFC 4180): reading with commas, semicolons or tabs, and writing.

import { count, listed } from "./dom.js";

const DELIMITERS = [",", ";", "\t"];

export class Unreadable extends Error {}

/** The records of a text: lists of cells, blank lines left out. */
function parse(text, delimiter) {
	const records = [];
	let record = [];
	for (let at = 0; at < text.length;) {
		let cell;
		if (text[at] === '"') {
			[cell, at] = quotedCell(text, at + 1, records.length + 1);
		} else {
			const from = at;
			while (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") at++;
			cell = text.slice(from, at);
		}
		record.push(cell);
		const next = text[at++];
		if (next === delimiter && at < text.length) continue;
		if (next === delimiter) record.push("");
		else if (next && !"\r\n".includes(next)) throw new Unreadable(`Row ${records.length + 1}: something follows a closing quotation mark.`);
		if (next === "\r" && text[at] === "\n") at++;
		if (record.length > 1 || record[0]) records.push(record);
		record = [];
	}
	return records;
}

function quotedCell(text, at, number) {
	for (let cell = ""; ; cell += '"') {
		const quote = text.indexOf('"', at);
		if (quote < 0) throw new Unreadable(`Row ${number}: a quotation mark is not closed.`);
		cell += text.slice(at, quote);
		if (text[quote + 1] !== '"') return [cell, quote + 1];
		at = quote + 2;
	}
}

/** Read a table for these features, by the names in its first line, else by position. `columns` has each one's column. */
export function readTable(given, names) {
	const text = given.replace(/^\ufeff/, "");
	if (!text.trim()) throw new Unreadable("There are no rows.");
	let rows = parse(text, delimiterOf(text));
	const first = rows[0].map((cell) => (names.includes(cell) ? cell : cell.trim()));
	const lacking = names.filter((name) => !first.includes(name));
	if (!lacking.length) return withHeader(first, rows.slice(1), names);
	if (lacking.length < names.length) throw new Unreadable(`The first line lacks ${listed(lacking, 6)}.`);
	if (names.length === 1 && rows.some((row) => row.length > 1)) {
		rows = text.split(/\r?\n/).filter(Boolean).map((line) => [line]); // one text a line, commas and all
	}
	if (rows[0].length !== names.length) {
		throw new Unreadable(`The first line has ${count(rows[0].length, "value")}, and the model takes ${names.length}: ${listed(names, 6)}.`);
	}
	return { header: names, rows, columns: [...names.keys()] };
}

function withHeader(header, rows, names) {
	const twice = names.find((name) => header.indexOf(name) !== header.lastIndexOf(name));
	if (twice !== undefined) throw new Unreadable(`The first line names ${twice} more than once.`);
	if (!rows.length) throw new Unreadable("There are no rows below the first line.");
	return { header, rows, columns: names.map((name) => header.indexOf(name)) };
}

/** The delimiter that is most frequent in the first line, quoted cells aside. */
function delimiterOf(text) {
	const line = text.split(/[\r\n]/, 1)[0].replace(/"[^"]*"/g, "");
	const counts = DELIMITERS.map((delimiter) => line.split(delimiter).length);
	return DELIMITERS[counts.indexOf(Math.max(...counts))];
}

export const writeCSV = (records) => records.map((record) => `${record.map(cellOf)}\r\n`).join("");

function cellOf(cell) {
	const text = String(cell ?? "");
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
