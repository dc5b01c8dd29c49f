"""JSON Schemas of the rows that a model takes, in each JSON form of rows."""

from __future__ import annotations

from collections.abc import Sequence

from service.feature import EXACT_INTEGER, Feature, Value
from service.http.openapi.responses import JSON, reference
from service.signature import Signature

_TYPES = {"float": "number", "int": "integer", "bool": "boolean"}
_KNOWN = 20
"""The description of a feature lists at most this many of the categories that the model knows."""

_TENSOR = {"name", "shape", "datatype"}

_BESIDE = {
    "signature_name": {"description": "Ignored: clients of TensorFlow Serving send it."},
    "parameters": {"description": "Ignored: clients of Vertex AI send it."},
}


def schemas(prefix: str, signature: Signature, max_rows: int) -> JSON:
    """The schemas of one model version: a row in both forms, and the body of `:predict`."""
    cells = [described(feature) for feature in signature.features]
    width = len(cells)
    return {
        f"{prefix}.RowArray": {
            "type": "array",
            "description": "The values in the order of the features.",
            "prefixItems": cells,
            "items": False,
            "minItems": width,
            "maxItems": width,
        },
        f"{prefix}.RowObject": _object("The values by the features' names.", signature.names, cells),
        f"{prefix}.Row": {"anyOf": [reference(f"{prefix}.RowArray"), reference(f"{prefix}.RowObject")]},
        f"{prefix}.Instances": {
            **_members({"instances": rows(prefix, max_rows)}, _BESIDE),
            "description": "Rows as arrays or objects, in any mixture.",
        },
    }


def rows(prefix: str, max_rows: int) -> JSON:
    """An array of rows."""
    return {"type": "array", "items": reference(f"{prefix}.Row"), "minItems": 1, "maxItems": max_rows}


def invocations(prefix: str, signature: Signature, max_rows: int, parameters: JSON) -> JSON:
    """The JSON bodies of MLflow's clients: rows under one of several names, columns, or tensors with parameters."""
    beside = {"params": {"description": "Ignored: clients of MLflow send it."}, **_BESIDE}
    each = rows(prefix, max_rows)
    inputs = {"anyOf": [each, _columns(signature, max_rows)]}
    shapes = {"dataframe_split": _split(signature, max_rows), "dataframe_records": each, "instances": each}
    bodies = [_members({name: shape}, beside) for name, shape in {**shapes, "inputs": inputs}.items()]
    if takes_tensors(signature):
        bodies.append(_members({"inputs": reference(f"{prefix}.Tensors")}, {**beside, "parameters": parameters}))
    return {"anyOf": bodies}


def takes_tensors(signature: Signature) -> bool:
    """Whether `inputs` may hold tensors: not if the members of a tensor are the names of features."""
    return not set(signature.names) >= _TENSOR


def query(signature: Signature) -> JSON:
    """The schema of the query string: an object with one value for each feature, or empty for the example row."""
    cells = [_in_query(feature) for feature in signature.features]
    row = _object("One value for each feature, by its name.", signature.names, cells)
    return {"anyOf": [row, {"type": "object", "maxProperties": 0, "description": "The model's example row."}]}


def query_example(signature: Signature) -> JSON:
    """The example row for the query string: an empty text stands for a missing value."""
    return {name: "" if value is None else value for name, value in example(signature).items()}


def example(signature: Signature) -> dict[str, Value]:
    """The example row by the features' names."""
    return dict(zip(signature.names, signature.example, strict=True))


def described(feature: Feature) -> JSON:
    """The schema of a cell, with its title, a description and an example."""
    return {
        "title": feature.name,
        **cell(feature),
        **({"description": text} if (text := _description(feature)) else {}),
        "examples": [feature.example],
    }


def cell(feature: Feature) -> JSON:
    """The schema of a cell."""
    if feature.allowed is not None:
        return {"enum": [*feature.allowed, *([None] if feature.missing else [])]}
    kind = _TYPES.get(feature.type, "string")
    schema: JSON = {"type": [kind, "null"] if feature.missing else kind}
    if feature.type == "date":
        from service.http.openapi.dates import date

        schema |= date(feature.dtype or "")
    if kind in ("number", "integer"):
        most = largest(feature)
        schema |= {"minimum": -most, "maximum": most}
    return schema


def largest(feature: Feature) -> float:
    """The largest number that a feature takes."""
    return int(min(feature.max_magnitude, EXACT_INTEGER)) if feature.type == "int" else feature.max_magnitude


def _description(feature: Feature) -> str:
    """The values in the sample, or the known categories: only a hint, because the model takes other values, too."""
    if feature.range is not None:
        low, high = feature.range
        return f"The sample has {low:.6g} to {high:.6g}."
    if feature.period is not None:
        return "The sample has {} to {}.".format(*feature.period)
    if feature.accepts_unknown and feature.categories:
        known = ", ".join(map(str, feature.categories[:_KNOWN]))
        more = len(feature.categories) - _KNOWN
        return f"The model knows {known}{f' and {more} more' if more > 0 else ''}; it takes others, too."
    return ""


def _in_query(feature: Feature) -> JSON:
    schema = described(feature)
    if not feature.missing:
        return schema
    if feature.allowed is not None:
        return {**schema, "enum": [*feature.allowed, ""]}
    if feature.type == "date":
        from service.http.openapi.dates import date_or_nothing

        return {**schema, "type": "string", **date_or_nothing(feature.dtype or "")}
    if not feature.numeric:
        return {**schema, "type": "string"}
    of_a_number = cell(Feature(feature.name, feature.type, max_magnitude=feature.max_magnitude))
    outer = {key: value for key, value in schema.items() if key not in ("type", "minimum", "maximum")}
    return {**outer, "anyOf": [of_a_number, {"const": "", "description": "Missing."}]}


def _object(description: str, names: Sequence[str], cells: Sequence[JSON]) -> JSON:
    return {
        "type": "object",
        "description": description,
        "required": list(names),
        "properties": dict(zip(names, cells, strict=True)),
        "additionalProperties": False,
    }


def _members(required: JSON, beside: JSON) -> JSON:
    """An object with the required members; the members of `beside` are optional."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **beside},
        "additionalProperties": False,
    }


def _split(signature: Signature, max_rows: int) -> JSON:
    """Names and rows apart. The client chooses the order of the names, so a cell may be of any feature."""
    width = len(signature.features)
    distinct: list[JSON] = []
    for schema in map(cell, signature.features):
        if schema not in distinct:
            distinct.append(schema)
    row = {"type": "array", "minItems": width, "maxItems": width, "items": _any_of(distinct)}
    columns = {
        "type": "array",
        "description": "Each feature's name once.",
        "items": {"enum": list(signature.names)},
        "minItems": width,
        "maxItems": width,
        "uniqueItems": True,
    }
    data = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    index = {"index": {"description": "Ignored."}}
    return {"description": "A DataFrame: names and rows.", **_members({"columns": columns, "data": data}, index)}


def _columns(signature: Signature, max_rows: int) -> JSON:
    arrays = [
        {"type": "array", "items": cell(feature), "minItems": 1, "maxItems": max_rows} for feature in signature.features
    ]
    return _object("A column for each feature, all of one length.", signature.names, arrays)


def _any_of(schemas: Sequence[JSON]) -> JSON:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
