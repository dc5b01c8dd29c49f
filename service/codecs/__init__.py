"""
Turns bytes into tables, and predictions into bytes. Nothing here knows HTTP.

    rows/             bodies of rows
    tensors/          bodies of tensors: the Open Inference Protocol
    columnar/         Parquet and Arrow
    json_reader.py    checks JSON, and reads well-formed JSON token by token
    json_arrays.py    arrays of numbers as JSON
    mlflow.py         the JSON shapes of /invocations
    row_decoders.py   makes the decoders of one model, once
"""
