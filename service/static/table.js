// Many rows: read a CSV file, predict, show its faults, download.

import { modelPath } from "./api.js";
import { predictAll } from "./batch.js";
import { readTable, Unreadable, writeCSV } from "./csv.js";
import { button, choice, count, fill, grid, grouped, h, listed, percent, said, text } from "./dom.js";
import { fromCell, refusal, toJSON, toText } from "./features.js";

const PAGE_ROWS = 50;

export class Table {
	constructor(card, version, { lost }) {
		Object.assign(this, { card, version, lost, names: card.features.map((each) => each.name) });
		this.result = h("div#result");
		this.problem = h("p.fault", { role: "alert" });
		this.element = h("div.stack", this.source(), this.result);
	}

	source() {
		const example = writeCSV([this.names, this.card.features.map((each) => toText(each.example))]);
		const use = () => this.read(area.value, "These rows");
		const area = h("textarea#rows", { "aria-label": "Rows as CSV", rows: 5, placeholder: example, wrap: "off", onpaste: () => setTimeout(use) });
		const file = h("input#file.hidden", { type: "file", accept: ".csv,.tsv,.txt,text/csv", onchange: () => this.readFile(file.files[0]) });
		const over = (event) => {
			event.preventDefault();
			zone.classList.toggle("over", event.type === "dragover");
			if (event.type === "drop") this.readFile(event.dataTransfer.files[0]);
		};
		const zone = h(
			"section.panel.stack.drop", { ondragover: over, ondragleave: over, ondrop: over },
			h("p", h("b", "Drop a CSV file here, or "), file, h("label.button", { for: "file" }, "choose a file"), h("b", ", or paste rows:")),
			area,
			h("p.note", `The first line names the columns: ${listed(this.names, 8)}. They may come in any order. Other columns are kept, and not sent.`),
			this.problem,
			h("p.line", button("Use these rows", use), button("Fill in the example", () => { area.value = example; use(); })),
		);
		return zone;
	}

	async readFile(file) {
		if (!file) return;
		try {
			this.read(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()), file.name);
		} catch {
			this.say(`${file.name} is not text in UTF-8. In a spreadsheet, save it as "CSV UTF-8".`);
		}
	}

	say(sentence) {
		this.problem.textContent = sentence;
	}

	/** Read a text, check each row by the card, and show all. */
	read(given, name) {
		this.stop?.abort();
		this.say("");
		try {
			this.table = readTable(given, this.names);
		} catch (error) {
			if (!(error instanceof Unreadable)) throw error;
			fill(this.result);
			return this.say(error.message);
		}
		this.rows = this.table.rows.map((cells, index) => this.check({ cells, index }));
		this.summary = h("b#summary", { role: "status" });
		this.progress = h("progress", { max: this.rows.length, "aria-label": "Rows predicted" });
		this.body = h("div.stack");
		fill(this.result, h("section.panel.stack", this.summary, this.progress, this.body));
		Object.assign(this, { name, running: false });
		this.turn("all", 0);
		this.result.scrollIntoView({ block: "nearest" });
	}

	check(row) {
		const { table: { header, columns }, card: { features } } = this;
		if (row.cells.length !== header.length) return { ...row, fault: `The row has ${row.cells.length} of ${header.length} values.` };
		const raws = features.map((each, i) => fromCell(each, row.cells[columns[i]]));
		const faults = features.map((each, i) => refusal(each, raws[i]));
		const first = faults.findIndex(Boolean);
		if (first >= 0) return { ...row, fault: faults[first], at: columns[first] };
		return { ...row, json: `[${features.map((each, i) => toJSON(each, raws[i]))}]` };
	}

	turn(view, page) {
		Object.assign(this, { view, page });
		this.show();
	}

	show() {
		const { rows, body, running, view, page } = this;
		const faults = rows.filter((row) => row.fault);
		const done = rows.filter((row) => row.answer).length;
		const open = rows.length - faults.length - done;
		const shown = view === "faults" ? faults : rows;
		const part = shown.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
		this.progress.value = rows.length - open;
		this.progress.hidden = !running;
		this.summary.textContent = `${this.name}: ${count(rows.length, "row")}${done ? `, ${grouped(done)} predicted` : ""}${faults.length ? `, ${grouped(faults.length)} with a fault` : ""}`;
		const focused = body.contains(document.activeElement) && document.activeElement.textContent;
		fill(
			body,
			h("div.line",
				!running && open > 0 && button(`Predict ${count(open, "row")}`, () => this.predict(), { class: "primary" }),
				running && button("Stop", () => this.stop.abort()),
				!running && done > 0 && button("Download as CSV", () => this.download(), { class: !open && "primary" }),
				faults.length > 0 && choice("Rows shown", [["all", "All rows"], ["faults", "Rows with a fault"]], view, (other) => this.turn(other, 0))),
			this.tableOf(part),
			shown.length > PAGE_ROWS && h("nav.line", { "aria-label": "Pages of rows" },
				button("Earlier", () => this.turn(view, page - 1), { disabled: !page }),
				button("Later", () => this.turn(view, page + 1), { disabled: (page + 1) * PAGE_ROWS >= shown.length }),
				h("span.note", `Rows ${grouped(part[0].index + 1)} to ${grouped(part.at(-1).index + 1)}`)),
		);
		const buttons = [...body.querySelectorAll("button")];
		if (focused) (buttons.find((each) => each.textContent === focused) ?? buttons[0])?.focus();
	}

	async predict() {
		const { rows, card } = this;
		const stop = this.stop = new AbortController();
		const settled = (row, answer, fault) => {
			Object.assign(row, { answer, fault });
			this.refresh();
		};
		this.running = true;
		this.say("");
		this.show();
		try {
			await predictAll(`${modelPath(card.name, this.version)}:predict`, card.features, rows.filter((row) => !row.fault && !row.answer), settled, stop.signal);
		} catch (error) {
			stop.abort();
			if (error.needsKey) this.lost(error);
			else if (error.name !== "AbortError") this.say(error.message);
		}
		if (rows !== this.rows) return; // others have been read meanwhile
		this.running = false;
		this.show();
	}

	/** Show how far it is, a few times a second. */
	refresh() {
		this.drawing ??= setTimeout(() => {
			this.drawing = null;
			if (this.running) this.show();
		}, 250);
	}

	tableOf(rows) {
		const { header, columns } = this.table;
		const kind = (i, wrong) => (i === wrong ? "wrong" : columns.includes(i) ? null : "unused");
		const sure = this.rows.some(({ answer }) => isFlat(answer?.probabilities));
		const heads = ["Row", "Prediction", sure && "Probability"].filter(Boolean).map((name) => [name, "ours"]);
		return grid("Rows", [...heads, ...header.map((name, i) => [name, kind(i)])], rows.map(({ cells, index, answer, fault, at }) => h(
			"tr",
			h("th.ours", { scope: "row" }, index + 1),
			fault ? h("td.ours.wrong", { colspan: sure ? 2 : 1 }, fault) : [
				h("td.ours", answer && saidOf(answer.prediction)),
				sure && h("td.ours", answer && percent(Math.max(...answer.probabilities))),
			],
			cells.map((cell, i) => h("td", { class: kind(i, at) }, cell)),
		)));
	}

	download() {
		const { table: { header }, rows } = this;
		const added = this.newColumns();
		const free = (name) => (header.includes(name) ? free(`${name}_`) : name);
		const csv = writeCSV([
			[...header, ...added.map(([name]) => free(name))],
			...rows.map((row) => [...header.map((_, i) => row.cells[i]), ...added.map(([, valueOf]) => valueOf(row))]),
		]);
		const href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
		h("a", { href, download: `${this.card.name}-predictions.csv` }).click();
		setTimeout(() => URL.revokeObjectURL(href), 1000);
	}

	/** The columns that a download adds: [name, value of a row]. */
	newColumns() {
		const { answer } = this.rows.find((row) => row.answer);
		const of = (key, name, labels = []) => {
			const value = answer[key];
			if (value === undefined) return [];
			if (!Array.isArray(value)) return [[name, (row) => row.answer && text(row.answer[key])]];
			return value.map((_, i) => [`${name}_${text((isFlat(value) ? labels[i] : null) ?? i + 1)}`, (row) => row.answer && text(row.answer[key][i])]);
		};
		const { classes } = this.card;
		return [...of("prediction", "prediction"), ...of("probabilities", "probability", classes), ...of("scores", "score", classes), ["fault", (row) => row.fault]];
	}
}

/** Whether these are numbers of one output. */
const isFlat = (values) => Array.isArray(values) && !values.some(Array.isArray);
const saidOf = (value) => (Array.isArray(value) ? value.map((each) => [said(each), " "]) : said(value));
