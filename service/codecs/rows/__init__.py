"""
Bodies of rows: JSON, CSV and JSON lines.

    row_decoder.py           the base of all decoders of JSON rows
    instances.py             bodies with JSON rows, and JSON lines
    json_rows.py             arrays and lines of JSON rows, by the types of one signature
    instances_fast_path.py   many rows of numbers, read as one list
    dataframes.py            DataFrames as JSON, split or by column
    csv_rows.py              rows of CSV
    csv_records.py           records of CSV, with the numbers of their lines
    csv_fast_path.py         CSV lines of plain numbers, read as one list
    pieces.py                decodes long arrays and lines piece by piece
    explain.py               finds the first fault, for the error's pointer
    columns.py               turns predictions into named columns
    answers.py               writes answers as JSON, CSV and JSON lines
"""
