"""Bodies of tensors: the Open Inference Protocol, as JSON and as binary data."""
