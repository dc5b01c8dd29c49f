"""The tensors of the Open Inference Protocol: a body becomes a table, and a prediction becomes a body."""

from __future__ import annotations

from msgspec import Struct

from service.codecs.tensors import inputs, messages, outputs
from service.codecs.tensors.body import Body
from service.prediction import Prediction
from service.signature import Signature
from service.table import Table


class TensorRequest(Struct, frozen=True, eq=False):
    """
    A request whose tensors the model takes.

    Attributes:
        asked: the request as it came; it names the outputs that the answer has.
        table: the rows of its tensors.
    """

    asked: messages.Request
    table: Table


class TensorAnswer(Struct, frozen=True, eq=False):
    """
    The body of an answer.

    Attributes:
        content: JSON, and binary tensors if there are any.
        json_length: the number of bytes that are JSON; None if all bytes are JSON.
    """

    content: bytes
    json_length: int | None


class TensorCodec:
    """Decodes requests and encodes answers. Immutable, safe to share."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows

    def decode_request(self, signature: Signature, body: Body) -> TensorRequest:
        """
        Decode a request.

        Raises:
            NotJSON: the JSON part is no JSON document.
            MalformedTensor: the JSON is no inference request, or contradicts itself.
            InvalidInput: the model does not take the tensors.
            TooManyRows: the tensors have more rows than the service takes at once.
        """
        if body.binary is not None and not body.json:
            asked = inputs.raw_request(signature, body.binary)
        else:
            asked = messages.decode_request(body, len(signature.features))
        outputs.check(signature, asked)
        most = signature.most_rows(self._max_rows, outputs.size_of_texts(signature, asked))
        return TensorRequest(asked, inputs.table(signature, asked.tensors, most))

    def encode_answer(
        self, signature: Signature, request: TensorRequest, prediction: Prediction, name: str, version: int
    ) -> TensorAnswer:
        """Encode the outputs that a request asks for; `name` and `version` are those of the model."""
        head = {"model_name": name, "model_version": str(version)}
        if request.asked.id is not None:
            head["id"] = request.asked.id
        return TensorAnswer(*messages.encode(head, outputs.results(signature, prediction, request.asked)))
