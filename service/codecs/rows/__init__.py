"""
Bodies of rows: JSON, CSV and JSON lines.

    row_decoder.py           what all decoders of rows share
    instances.py             rows as JSON arrays and objects, and JSON lines
    instances_fast_path.py   many rows of numbers, read as one list
    dataframes.py            DataFrames as JSON, split or by column
    csv_rows.py              rows of CSV
    csv_fast_path.py         CSV lines of plain numbers, read as one list
    pieces.py                long arrays and lines, decoded piece by piece
    explain.py               finds the first fault, for the error's pointer
    columns.py               predictions as named columns
    answers.py               answers as JSON, CSV and JSON lines
"""
