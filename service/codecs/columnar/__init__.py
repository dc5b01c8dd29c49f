"""
Parquet and Arrow. They need pyarrow, which is imported when it is used.

    bodies.py           bodies of Parquet files and Arrow streams
    record_batches.py   record batches to tables, predictions to record batches
    sandbox.py          runs a decoder of foreign bytes in a forked child
"""
