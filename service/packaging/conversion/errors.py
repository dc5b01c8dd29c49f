"""The error of a part that has no exact conversion."""


class NotConvertible(Exception):
    """A part of the estimator has no exact conversion to ONNX. The message names the part, without a full stop."""
