// Many rows: in chunks, some at a time. A chunk that is refused is split until the row at fault is alone.

import { rowOf } from "./answer.js";
import { ask, Fault } from "./api.js";
import { pointedAt } from "./features.js";

const MOST_ROWS = 1000;
const MOST_CELLS = 50_000;
const AT_ONCE = 3;
const MOST_WAITS = 8;

/** Predict rows, each with its JSON. `settled(row, answer, fault)` is called once for each. */
export function predictAll(path, features, rows, settled, signal) {
	const size = Math.ceil(Math.min(MOST_ROWS, MOST_CELLS / features.length));
	const queue = [];
	for (let at = 0; at < rows.length; at += size) queue.unshift(rows.slice(at, at + size));
	return new Promise((resolve, reject) => {
		let running = 0;
		const next = () => {
			if (!queue.length && !running) resolve();
			while (queue.length && running < AT_ONCE) {
				running++;
				tryChunk(path, features, queue.pop(), settled, signal).then((parts) => {
					running--;
					queue.push(...parts.filter((part) => part.length).reverse());
					next();
				}).catch((error) => {
					queue.length = 0;
					reject(error);
				});
			}
		};
		next();
	});
}

/** Ask for a chunk; gives the parts that are still to be asked. */
async function tryChunk(path, features, chunk, settled, signal) {
	try {
		const answer = await askPatiently(path, `{"instances":[${chunk.map((row) => row.json).join(",")}]}`, signal);
		chunk.forEach((row, i) => settled(row, rowOf(answer, i)));
		return [];
	} catch (error) {
		if (![400, 413, 422].includes(error.status)) throw error;
		const { row } = pointedAt(features, error.pointer);
		const culprit = chunk.length === 1 ? 0 : row;
		if (!chunk[culprit]) return halves(chunk);
		settled(chunk[culprit], null, error.message);
		return [[...chunk.slice(culprit + 1), ...chunk.slice(0, culprit)]]; // what is before the first fault has none
	}
}

const halves = (chunk) => [chunk.slice(0, chunk.length / 2), chunk.slice(chunk.length / 2)];

/** Ask, and ask again a little later while the service is busy or restarting. */
async function askPatiently(path, body, signal) {
	for (let waits = 0; ; waits++) {
		try {
			return await ask(path, body, signal);
		} catch (error) {
			if (!(error instanceof Fault) || !error.passing || waits === MOST_WAITS) throw error;
			await new Promise((resolve) => { setTimeout(resolve, (error.wait || 2 ** waits * 0.1) * 1000); });
		}
	}
}
