"""Tests of service.packaging.onnx_graph."""
