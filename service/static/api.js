// Requests to the service. Addresses are relative to the page, so it works behind a path prefix.

let key = null; // in memory only: it is gone when the page is closed

export const setKey = (given) => { key = given; };
export const hasKey = () => key !== null;

/** What the service says against a request; status 0 if it cannot be reached. */
export class Fault extends Error {
	constructor(status, problem, wait) {
		super(problem.detail ?? `The service answered with status ${status}.`);
		Object.assign(this, { status, wait, pointer: problem.pointer, needsKey: [401, 403].includes(status) });
		this.passing = [0, 429, 502, 503, 504].includes(status); // the same request may pass a little later
	}
}

/** GET a path, or POST a body of JSON to it. */
export async function ask(path, body, signal) {
	const headers = { Accept: "application/json" };
	if (body) headers["Content-Type"] = "application/json";
	if (key !== null) headers.Authorization = `Bearer ${key}`;
	let response;
	try {
		response = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal });
	} catch (error) {
		throw error.name === "AbortError" ? error : new Fault(0, { detail: "The service cannot be reached." });
	}
	if (response.ok) return response.json();
	throw new Fault(response.status, await response.json().catch(() => ({})), Number(response.headers.get("Retry-After")));
}

/** The path of a model, or of one of its versions. */
export const modelPath = (name, version) => `v1/models/${name}${version ? `/versions/${version}` : ""}`;

/** Every version of a model with its state, refused ones with the reason. */
export async function statesOf(name) {
	return (await ask("v2/repository/index", "{}").catch(() => [])).filter((each) => each.name === name);
}
