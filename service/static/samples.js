// The same request as code, to be copied and run.

import { hasKey } from "./api.js";
import { rowJSON, toJSON } from "./features.js";

export const LANGUAGES = { curl, Python: python, JavaScript: javascript, "Open Inference": openInference };

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const withKey = (code) => (hasKey() ? code : "");
const members = (features, raws, write) =>
	features.map((each, i) => `    ${JSON.stringify(each.name)}: ${write(toJSON(each, raws[i]))},`).join("\n");
const inPython = (missing) => (json) => ({ true: "True", false: "False", null: missing })[json] ?? json;
const PYTHON_KEY = `headers={"Authorization": f"Bearer {os.environ['API_KEY']}"}`;

function curl({ url, path, features, raws }) {
	const key = withKey('  -H "Authorization: Bearer $API_KEY" \\\n');
	const body = quoted(`{"instances": [${rowJSON(features, raws)}]}`);
	return `curl ${quoted(`${url}/${path}:predict`)} \\\n${key}  -H 'Content-Type: application/json' \\\n  -d ${body}\n`;
}

function python({ url, path, features, raws }) {
	return `${withKey("import os\n\n")}import requests  # pip install requests

row = {
${members(features, raws, inPython("None"))}
}
response = requests.post(
    "${url}/${path}:predict",
    json={"instances": [row]},
${withKey(`    ${PYTHON_KEY},\n`)}    timeout=10,
)
response.raise_for_status()
print(response.json()["predictions"])
`;
}

function javascript({ url, path, features, raws }) {
	return `${withKey('const API_KEY = "put your key here";\n')}const row = {
${members(features, raws, (json) => json)}
};
const response = await fetch("${url}/${path}:predict", {
    method: "POST",
    headers: {"Content-Type": "application/json"${withKey(', Authorization: `Bearer ${API_KEY}`')}},
    body: JSON.stringify({instances: [row]}),
});
console.log((await response.json()).predictions);
`;
}

const DTYPES = { float: "np.float64", int: "np.int64", bool: "np.bool_" };

function openInference({ url, name, version, features, raws }) {
	const gap = features.find((each, i) => raws[i] === null && !(each.type in DTYPES));
	if (gap) return `# This client cannot send a missing string: choose a value for ${gap.name}.\n`;
	const { host, pathname, protocol } = new URL(url);
	const server = `"${host}${pathname.replace(/\/$/, "")}"${protocol === "https:" ? ", ssl=True" : ""}`;
	const more = `${version ? `, model_version="${version}"` : ""}${withKey(`, ${PYTHON_KEY}`)}`;
	return `${withKey("import os\n\n")}import numpy as np
import tritonclient.http as triton  # pip install tritonclient[http]
from tritonclient.utils import np_to_triton_dtype

tensors = {
${tensors(features, features.map((each, i) => inPython("np.nan")(toJSON(each, raws[i])))).join("\n")}
}
inputs = [triton.InferInput(name, each.shape, np_to_triton_dtype(each.dtype)) for name, each in tensors.items()]
for tensor, values in zip(inputs, tensors.values()):
    tensor.set_data_from_numpy(values)

client = triton.InferenceServerClient(${server})
answer = client.infer("${name}", inputs${more})
print(answer.as_numpy("predict"))
`;
}

/** One matrix if all features are numbers, else a column for each. */
function tensors(features, cells) {
	if (features.every((each) => each.type in DTYPES)) return [`    "input": np.array([[${cells.join(", ")}]], np.float64),`];
	return features.map((each, i) => {
		const dtype = each.missing && each.type in DTYPES ? DTYPES.float : DTYPES[each.type] ?? "np.object_";
		return `    ${JSON.stringify(each.name)}: np.array([[${cells[i]}]], ${dtype}),`;
	});
}
