// One row: fields on one side, the live answer on the other, and the same request as code.

import { rowOf, show } from "./answer.js";
import { ask, Fault, modelPath } from "./api.js";
import { button, choice, copy, fill, h } from "./dom.js";
import { pointedAt, rowJSON, toText } from "./features.js";
import { Form } from "./form.js";
import { LANGUAGES } from "./samples.js";

const ADDRESS_DELAY = 300;
const RETRY_SECONDS = 2;

const exampleOf = (feature) => toText(feature.example) ?? (feature.missing ? null : "");

export class Try {
	constructor(card, version, { save, lost }, values) {
		Object.assign(this, { card, version, save, lost, language: "curl" });
		this.form = new Form(card.features, this.valuesFrom(values), () => this.changed());
		this.answer = h("div.stack", { "aria-live": "polite" });
		this.time = h("p.note#time");
		this.panel = h("section.panel.stack.answer", { "aria-label": "Answer" }, this.answer, this.time);
		this.code = h("code#code");
		this.element = h("div.try", this.inputs(values), this.panel, this.samples());
		this.renew();
	}

	/** The values in an address, and the model's example for those that are not in it. */
	valuesFrom(values) {
		return this.card.features.map((each) => (values.has(each.name) ? values.get(each.name) : exampleOf(each)));
	}

	get values() {
		return this.card.features.map((each, i) => [each.name, this.form.raws[i]]);
	}

	open(values) {
		this.form.set(this.valuesFrom(values));
		this.renew();
	}

	inputs(values) {
		const names = this.card.features.map((each) => each.name);
		const strange = [...values.keys()].filter((name) => !names.includes(name));
		const link = button("Copy link", () => { this.keep(); copy(location.href, link); });
		const reset = () => { this.form.set(this.card.features.map(exampleOf)); this.changed(); };
		return h(
			"section.panel.stack", { "aria-label": "Values" },
			strange.length > 0 && h("p.fault", `The link names features that this model does not have: ${strange.join(", ")}.`),
			this.form.element,
			h("p.line", button("Back to the example", reset), link),
		);
	}

	samples() {
		const press = button("Copy", () => copy(this.code.textContent, press), { id: "copy" });
		const languages = choice("Language", Object.keys(LANGUAGES).map((name) => [name, name]), this.language, (name) => {
			this.language = name;
			this.write();
		});
		return h("section.panel.stack.wide", h("div.line", h("h2", "This request as code"), languages, press),
			h("pre", { tabindex: 0, role: "region", "aria-label": "Code" }, this.code));
	}

	write() {
		const { card: { name, features }, version, form: { raws } } = this;
		const url = new URL(".", location).href.replace(/\/$/, "");
		this.code.textContent = LANGUAGES[this.language]({ url, path: modelPath(name, version), name, version, features, raws });
	}

	changed() {
		clearTimeout(this.keeping);
		const { hash } = location;
		this.keeping = setTimeout(() => hash === location.hash && this.keep(), ADDRESS_DELAY);
		this.renew();
	}

	keep() {
		clearTimeout(this.keeping);
		this.save();
	}

	renew() {
		this.write();
		this.ask();
	}

	/** Ask for the values as they are. While a request is on its way, only the last of those behind it is kept. */
	async ask() {
		this.wanted = true;
		if (this.asking) return;
		this.asking = true;
		this.panel.setAttribute("aria-busy", "true");
		while (this.wanted) {
			this.wanted = false;
			await this.askOnce();
		}
		this.panel.removeAttribute("aria-busy");
		this.asking = false;
	}

	async askOnce() {
		const body = `{"instances": [${rowJSON(this.card.features, this.form.raws)}]}`;
		performance.clearResourceTimings();
		try {
			const answer = await ask(`${modelPath(this.card.name, this.version)}:predict`, body);
			const [timing] = performance.getEntriesByType("resource").slice(-1);
			this.form.mark(-1);
			this.panel.classList.remove("refused");
			show(this.answer, this.card.task, rowOf(answer, 0));
			this.time.textContent = `Version ${answer.version} answered${timing ? ` in ${(timing.responseEnd - timing.requestStart).toFixed(1)} ms` : ""}`;
		} catch (error) {
			this.refuse(error);
		}
	}

	refuse(error) {
		if (!(error instanceof Fault)) throw error;
		if (error.needsKey) return this.lost(error);
		const { feature } = pointedAt(this.card.features, error.pointer);
		this.form.mark(feature, error.message);
		this.panel.classList.add("refused");
		this.time.textContent = error.passing ? "Asking again…" : "";
		if (error.passing) setTimeout(() => this.ask(), (error.wait || RETRY_SECONDS) * 1000);
		fill(this.answer, h("p.note", feature < 0 ? "No answer" : "A value is not taken"), h("p.fault", error.message));
	}
}
