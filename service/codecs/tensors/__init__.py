"""
Bodies of tensors: the Open Inference Protocol, as JSON and as binary data.

    codec.py         body to table, and prediction to body, by the modules below
    body.py          a body's JSON, and the bytes behind it
    messages.py      requests and answers as bytes
    datatypes.py     the datatypes of tensors
    json_data.py     tensor data as JSON
    binary_data.py   tensor data as bytes
    inputs.py        describes the tensors that a model takes, and turns tensors into rows
    outputs.py       describes the tensors that a model gives, and turns predictions into tensors
    explain.py       finds the first fault, for the error's pointer
"""
