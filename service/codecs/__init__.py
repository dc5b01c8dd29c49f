"""
Bytes to tables and back. Nothing here knows HTTP.

    rows/             bodies of rows
    tensors/          bodies of tensors: the Open Inference Protocol
    columnar/         Parquet and Arrow
    json_reader.py    reads JSON that is known to be well-formed, token by token
    json_arrays.py    arrays of numbers as JSON
    mlflow.py         the JSON shapes of /invocations
    row_decoders.py   the decoders of one model, made once
"""
