"""
Parquet and Arrow. They need pyarrow, which is imported only if it is used.

    bodies.py           reads and writes bodies of Parquet files and Arrow streams
    record_batches.py   turns record batches into tables, and predictions into Arrow columns
    sandbox.py          runs a decoder of foreign bytes in a forked child
"""
