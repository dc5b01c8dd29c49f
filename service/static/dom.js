// Elements without HTML in strings: text stays text, whatever a model calls its features.

/** Make an element: h("p.note#time", {onclick: act}, "text", child). Null and false are left out. */
export function h(spec, ...children) {
	const [tag, ...marks] = spec.split(/(?=[.#])/);
	const element = document.createElement(tag);
	const given = children[0]?.constructor === Object ? children.shift() : {};
	for (const mark of marks) {
		if (mark[0] === "#") element.id = mark.slice(1);
		else element.classList.add(mark.slice(1));
	}
	for (const [name, value] of Object.entries(given)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name === "class" && value) element.classList.add(value);
		else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
	}
	return fill(element, ...children);
}

export function fill(element, ...children) {
	element.replaceChildren(...children.flat(3).filter((child) => child != null && child !== false));
	return element;
}

export const button = (label, onclick, more) => h("button", { type: "button", onclick, ...more }, label);

/** Buttons of which one is pressed. `options` are [name, label]. */
export function choice(label, options, pressed, pick) {
	const press = (name) => buttons.forEach((each, i) => each.setAttribute("aria-pressed", String(options[i][0] === name)));
	const buttons = options.map(([name, said]) => button(said, () => { press(name); pick(name); }));
	press(pressed);
	return h("div.tabs", { role: "group", "aria-label": label }, buttons);
}

/** A table that scrolls, by keyboard, too. */
export const grid = (label, heads, rows) =>
	h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h("table",
		h("thead", h("tr", heads.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))), h("tbody", rows)));

/** A number for people: six digits, or a whole number. */
export const short = (value) => String(typeof value !== "number" || Number.isInteger(value) ? value : Number(value.toPrecision(6)));

/** A label, or any other value of JSON. Of a number, the exact value goes along. */
export const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
export const said = (value) => (typeof value === "number" ? h("data", { value }, short(value)) : text(value));

export function percent(share) {
	if (share > 0 && share < 0.001) return "< 0.1 %";
	return share < 1 && share > 0.999 ? "> 99.9 %" : `${(share * 100).toFixed(1)} %`;
}

export const grouped = (number) => number.toLocaleString("en");
export const count = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

/** The first of many, for a sentence. */
export const listed = (items, most) =>
	items.slice(0, most).join(", ") + (items.length > most ? ` and ${items.length - most} more` : "");

/** A bar as long as a share of 1. */
export function bar(share, kind) {
	const element = h("i", { class: kind });
	element.style.setProperty("--share", share);
	return element;
}

/** Copy text, by command if there is no clipboard API, as without HTTPS. */
export async function copy(content, pressed) {
	const label = pressed.dataset.label ??= pressed.textContent;
	try {
		await navigator.clipboard.writeText(content);
	} catch {
		const area = h("textarea.hidden", content);
		document.body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
		pressed.focus();
	}
	pressed.textContent = "Copied";
	setTimeout(() => { pressed.textContent = label; }, 1500);
}
