"""
Reads inference requests, and writes their answers.

Both are a JSON object, and binary tensors may follow it (the binary tensor data extension of the Open Inference
Protocol).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from numpy.typing import NDArray

from service.codecs.tensors.binary_data import BinaryData, to_binary
from service.codecs.tensors.body import HEADER, Body
from service.codecs.tensors.datatypes import DATATYPES, Datatype, Place, to_json
from service.codecs.tensors.explain import MOST_DIMENSIONS, check_repeats, fault
from service.codecs.tensors.json_data import JSONData
from service.errors import InvalidInput, MalformedTensor, pointer

Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]

Shape = Annotated[list[Size], Meta(min_length=1, max_length=MOST_DIMENSIONS)]

Count = Annotated[int, Meta(ge=1)]


class _InputParameters(Struct):
    binary_data_size: Size | None = None


class _Input(Struct):
    name: str
    shape: Shape
    datatype: str
    parameters: _InputParameters | None = None
    data: Raw = Raw()


class _OutputParameters(Struct):
    binary_data: bool | None = None
    classification: Count | None = None


class _Output(Struct):
    name: str
    parameters: _OutputParameters | None = None


class _RequestParameters(Struct):
    binary_data_output: bool | None = None


class _Request(Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: _RequestParameters | None = None
    outputs: list[_Output] | None = None


class Tensor(Struct, frozen=True, eq=False):
    """
    An input tensor. The size of its data was compared with its shape; `values` decodes them.

    Attributes:
        name: the name that the client gave.
        shape: the sizes of its dimensions, at least one.
        datatype: the datatype of its values.
        data: the encoded values.
        place: its place in the request, for errors.
    """

    name: str
    shape: tuple[int, ...]
    datatype: Datatype
    data: JSONData | BinaryData
    place: Place

    def values(self) -> NDArray[Any]:
        """
        The values as a flat array.

        Raises:
            MalformedTensor: a value is not of the datatype.
            InvalidInput: a number is too large.
        """
        return self.data.decode_values(self.datatype, self.shape, self.place)

    def pointer(self, index: int) -> str:
        """The JSON pointer to the value at a position of the flat array."""
        return self.place.pointer(*self.data.parts(index, self.shape))


class Wanted(Struct, frozen=True):
    """
    An output that the client asks for.

    Attributes:
        name: the name of the output.
        binary: True if the output goes out as binary data.
        classification: the number of best classes to give for each row; None if the client wants the values.
    """

    name: str
    binary: bool = False
    classification: int | None = None


class Request(Struct, frozen=True, eq=False):
    """
    An inference request.

    Attributes:
        tensors: the inputs.
        id: the client's id, which the answer repeats.
        outputs: the outputs that the client asks for, in order; None if it asks for all outputs.
        binary: True if all outputs go out as binary data. Used only if `outputs` is None.
    """

    tensors: tuple[Tensor, ...]
    id: str | None = None
    outputs: tuple[Wanted, ...] | None = None
    binary: bool = False


class Result(Struct, frozen=True, eq=False):
    """
    An output of an answer.

    Attributes:
        wanted: the name of the output, and the form in which it goes out.
        datatype: the name of its datatype in the protocol.
        values: an array of this datatype; objects are str.
        positions: for a classifier's labels, the position in `values` of each row's label, int64, shape (rows,) or
            (rows, outputs). None if `values` has the values of the rows themselves.
    """

    wanted: Wanted
    datatype: str
    values: NDArray[Any]
    positions: NDArray[np.int64] | None = None


_decoder = msgspec.json.Decoder(_Request)

_MOST_KNOWN, MOST_UNKNOWN = 6, 1000
"""The members that a tensor may have, and the most other members of a body that are checked."""


def decode_request(body: Body, most: int) -> Request:
    """
    Decode a request, except the values of its tensors.

    Args:
        body: the body.
        most: the most tensors that are taken.

    Raises:
        NotJSON: the JSON part is not JSON.
        MalformedTensor: the JSON is no inference request, or contradicts itself or the binary part.
        InvalidInput: the request has more than `most` tensors.
    """
    try:
        request = _decoder.decode(body.json)
        if not body.json.isascii():
            body.json.decode()  # `data` is still Raw: its UTF-8 was not checked
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as ex:
        raise fault(body.json, ex) from None
    if len(request.inputs) > most:
        detail = f"There are {len(request.inputs)} tensors; the model takes at most {most}."
        raise InvalidInput(detail, "/inputs")
    if body.json.count(b":") > _members(request):  # more colons: in strings, or of repeated or unknown members
        check_repeats(body.json, MOST_UNKNOWN + _MOST_KNOWN * len(request.inputs))
    binary = bool(request.parameters and request.parameters.binary_data_output)
    outputs = tuple(_wanted(request.outputs, binary)) if request.outputs else None
    return Request(tuple(_tensors(request.inputs, body.binary)), request.id, outputs, binary)


def encode(head: dict[str, Any], results: Iterable[Result]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON in bytes; the length is None if no binary tensors follow."""
    outputs, binary = [], []
    for result in results:
        values, positions = result.values, result.positions
        shape = values.shape if positions is None else positions.shape
        output: dict[str, Any] = {"name": result.wanted.name, "datatype": result.datatype, "shape": shape}
        if result.wanted.binary:
            content = to_binary(values, positions)
            output["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            output["data"] = to_json(values if positions is None else values[positions])
        outputs.append(output)
    json = msgspec.json.encode({**head, "outputs": outputs})
    return (b"".join([json, *binary]), len(json)) if binary else (json, None)


def _members(request: _Request) -> int:
    """The number of members that the decoding of a request kept. `check_repeats` runs if the body has more colons."""
    members = 1 + (request.id is not None)
    if request.parameters is not None:
        members += 1 + (request.parameters.binary_data_output is not None)
    for each in request.inputs:
        members += 3 + bool(each.data)
        if each.parameters is not None:
            members += 1 + (each.parameters.binary_data_size is not None)
    return members if request.outputs is None else members + 1 + sum(map(_output_members, request.outputs))


def _output_members(output: _Output) -> int:
    parameters = output.parameters
    if parameters is None:
        return 1
    return 2 + (parameters.binary_data is not None) + (parameters.classification is not None)


def _wanted(outputs: Sequence[_Output], binary: bool) -> Iterator[Wanted]:
    names = set()
    for position, output in enumerate(outputs):
        if output.name in names:
            raise MalformedTensor(f"outputs[{position}] is asked for more than once.", pointer("outputs", position))
        names.add(output.name)
        parameters = output.parameters or _OutputParameters()
        own = parameters.binary_data
        yield Wanted(output.name, binary if own is None else own, parameters.classification)


def _tensors(inputs: Sequence[_Input], binary: memoryview | None) -> Iterator[Tensor]:
    """
    The inputs, each with its part of the binary data.

    Raises:
        MalformedTensor: a datatype is unknown, or the data are missing, given twice, or not of the shape's size.
    """
    at = 0
    for position, given in enumerate(inputs):
        place = Place(position)
        datatype = DATATYPES.get(given.datatype)
        if datatype is None:
            raise place.fault(f"there is no such datatype; use one of {', '.join(DATATYPES)}.", "datatype")
        size = given.parameters.binary_data_size if given.parameters else None
        data = _json_data(given, place) if size is None else _binary_data(given, place, binary, at, size)
        at += size or 0
        data.check(datatype, given.shape, place)
        yield Tensor(given.name, tuple(given.shape), datatype, data, place)
    if binary is not None and at != len(binary):
        detail = f"The inputs announce {at} bytes of binary data, but {len(binary)} follow the JSON."
        raise MalformedTensor(detail, "/inputs")


def _json_data(given: _Input, place: Place) -> JSONData:
    raw = bytes(given.data)
    if not raw or raw == b"null":
        raise place.fault("data is missing. Send data, or parameters.binary_data_size and binary data.", "data")
    return JSONData(raw)


def _binary_data(given: _Input, place: Place, binary: memoryview | None, at: int, size: int) -> BinaryData:
    where = ("parameters", "binary_data_size")
    if bytes(given.data) not in (b"", b"null"):
        raise place.fault("there are both data and parameters.binary_data_size. Send only one.", *where)
    if binary is None:
        raise place.fault(f"{size} bytes of binary data are announced, but there is no header {HEADER}.", *where)
    if size > len(binary) - at:
        raise place.fault(f"{size} bytes of binary data are announced, but {len(binary) - at} are left.", *where)
    return BinaryData(binary[at : at + size])
