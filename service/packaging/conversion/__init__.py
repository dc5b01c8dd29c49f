"""Converts an estimator to ONNX."""
