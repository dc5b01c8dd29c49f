"""
Files scored without a server, in chunks, on all cores; the answers are those of the service.

    score.py           the whole: source, workers, output, errors
    pool.py            processes that score chunks; answers come back in their order
    scorer.py          one chunk: rows that the model takes are predicted, the others are told one by one
    formats.py         which format a file has
    rows.py            what each format gives: chunks, and the rows of a chunk
    lines.py           text files in chunks of whole lines
    csv_rows.py        rows of CSV
    json_rows.py       rows of JSON lines
    arrow_rows.py      rows of Parquet and Arrow
    outputs.py         scored rows as CSV, JSON lines, Parquet and Arrow
    errors.py          ScoringError
"""
