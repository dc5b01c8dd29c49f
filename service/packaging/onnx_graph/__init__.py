"""
Reads and edits ONNX graphs.

    inputs.py    reads the inputs of a graph, and finds the sample's columns for them
    outputs.py   finds the kinds of a graph's outputs
    labels.py    changes a graph so that it gives positions instead of labels
    locales.py   sets the locale by which a graph writes small letters
"""
