"""
Reads and edits ONNX graphs.

    inputs.py    what a graph takes
    outputs.py   what a graph gives
    labels.py    has a graph give positions instead of labels
    locales.py   the locale by which a graph writes small letters
    types.py     the types of what a graph gives
"""
