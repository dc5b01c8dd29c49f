// The page: which model, which version, which view. The rest is made from the model's card.

import { About, showVersions, summary } from "./about.js";
import { read, write } from "./address.js";
import { ask, Fault, hasKey, modelPath, setKey, statesOf } from "./api.js";
import { button, fill, h } from "./dom.js";
import { Table } from "./table.js";
import { Try } from "./try.js";

const VIEWS = { try: ["One row", Try], table: ["Many rows", Table], about: ["About the model", About] };
const [main, pickers, models, versions, forget] = ["main", "pickers", "model", "version", "forget"].map((id) => document.getElementById(id));

let names = null;
let opened = null; // the model and version on the page, with its card and the views made so far

async function route() {
	const address = read();
	try {
		names ??= (await ask("v1/models")).models;
		if (names.length) await open(address, address.model ?? names[0]);
		else showEmpty();
	} catch (error) {
		if (!(error instanceof Fault)) throw error;
		showFault(error, address);
	}
}

async function open(address, model) {
	const { view, version, values } = address;
	if (opened?.model === model && opened.version === version) {
		if (view === "try") opened.views.try?.open(values);
	} else {
		const card = await ask(modelPath(model, version));
		if (write(read()) !== write(address)) return; // it has changed meanwhile
		opened = { model, version, card, views: {} };
		showPickers();
	}
	show(view, values);
}

function show(view, values) {
	const { card, model, version, views } = opened;
	const address = (other) => write({ view: other, model, version, values: views.try?.values ?? values });
	const hooks = { save: () => history.replaceState(null, "", address("try")), lost: (error) => showFault(error, read()) };
	views[view] ??= new VIEWS[view][1](card, version, hooks, values);
	const links = Object.entries(VIEWS).map(([name, [label]]) => h("a", {
		href: address(name), "aria-current": name === view && "page", onclick: (event) => { event.target.href = address(name); },
	}, label));
	document.title = `${model} · Model server`;
	fill(
		main,
		h("div.title", h("h1", model), h("p", `${summary(card)}. Version ${card.version}.`), card.description && h("p.description", card.description)),
		h("nav.views", { "aria-label": "Views" }, links),
		views[view].element,
	);
}

function showPickers() {
	const { card, model, version } = opened;
	const option = (value, label, selected) => h("option", { value, selected }, label);
	fill(models, names.map((name) => option(name, name, name === model)));
	fill(versions, option("", `${Math.max(...card.versions)} (newest)`, !version), card.versions.map((each) => option(each, each, String(each) === version)));
	pickers.hidden = false;
}

function showEmpty() {
	fill(main, h("div.panel.stack", h("h1", "There is no model yet"), h("p", "Add one, and reload the service:"),
		h("pre", { tabindex: 0 }, "python -m service add NAME model.joblib --data sample.csv"), h("p", button("Look again", again))));
}

function again() {
	names = opened = null;
	route();
}

function showFault(error, { model }) {
	opened = null;
	if (error.needsKey) return askForKey(error);
	const reasons = h("ul.stack");
	const others = names?.filter((name) => name !== model).map((name) => h("a.button", { href: `#/try/${name}` }, name));
	fill(main, h("div.panel.stack", { role: "alert" }, h("h1", error.message), reasons, h("p.line", button("Try again", again, { class: "primary" }), others)));
	if (error.status === 503) statesOf(model).then((all) => showVersions(reasons, all));
}

function askForKey(error) {
	const wrong = hasKey();
	setKey(null);
	names = null;
	pickers.hidden = forget.hidden = true;
	const input = h("input#key", { type: "password", autocomplete: "off", required: true, "aria-describedby": "key-note" });
	const onsubmit = (event) => {
		event.preventDefault();
		setKey(input.value.trim());
		forget.hidden = false;
		route();
	};
	fill(main, h(
		"form.panel.stack", { onsubmit }, h("h1", "This service asks for an API key"), wrong && h("p.fault", { role: "alert" }, error.message),
		h("p.line", h("label", { for: "key" }, "API key"), input, h("button.primary", "Open")),
		h("p.note#key-note", "The page keeps the key in memory only. It is gone when you close or reload the page."),
	));
	input.focus();
}

models.onchange = () => { location.hash = `/${read().view}/${models.value}`; };
versions.onchange = () => { location.hash = write({ ...read(), model: opened.model, version: versions.value }); };
forget.onclick = () => { setKey(null); again(); };
onhashchange = route;
route();
