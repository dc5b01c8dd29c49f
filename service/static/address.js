// View, model, version and values in the address: #/try/iris/1?sepal_length=5.1&sex (without '=' a value is missing).
// What is behind '#' goes to no server, so values stay out of logs.

export function read() {
	const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
	const [view, model, version] = path.split("/").map(decode);
	const pairs = query.split("&").filter(Boolean).map((pair) => pair.split(/=(.*)/s));
	const values = new Map(pairs.map(([name, value]) => [decode(name), value === undefined ? null : decode(value)]));
	return { view: ["table", "about"].includes(view) ? view : "try", model: model || null, version: version || null, values };
}

export function write({ view, model, version, values = [] }) {
	const pairs = [...values].map(([name, value]) => encode(name) + (value === null ? "" : `=${encode(value)}`));
	const path = [view, model, version].filter(Boolean).map(encode).join("/");
	return `#/${path}${pairs.length ? `?${pairs.join("&")}` : ""}`;
}

const encode = (part) => encodeURIComponent(part.toWellFormed());

function decode(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}
