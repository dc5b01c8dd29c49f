"""
Reads and edits ONNX graphs.

    inputs.py    reads a graph's inputs, and finds the columns for them
    outputs.py   finds the kinds of a graph's outputs
    labels.py    makes a graph give positions instead of labels
    locales.py   sets the locale by which a graph writes small letters
    types.py     declares the types of a graph's outputs
"""
