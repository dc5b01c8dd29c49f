"""
Scores files without a server, in chunks, on all cores. The answers are the same as those of the service.

    score.py           scores a file: opens it, runs the processes, writes the output and the errors
    pool.py            processes that score chunks; their answers come back in the order of the chunks
    scorer.py          scores one chunk: predicts the rows that the model takes, and reports each other row
    formats.py         finds the format of a file
    rows.py            the protocols of a format: a source of chunks, and the rows of a chunk
    lines.py           reads text files in chunks of whole lines
    csv_rows.py        reads rows of CSV
    json_rows.py       reads rows of JSON lines
    arrow_rows.py      reads rows of Parquet and Arrow
    outputs.py         writes scored rows as CSV, JSON lines, Parquet and Arrow
    errors.py          ScoringError
"""
