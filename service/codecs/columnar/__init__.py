"""Parquet and Arrow: bytes to tables and predictions to bytes. They need pyarrow, which is imported when it is used."""
