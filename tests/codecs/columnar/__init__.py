"""Tests of Parquet and Arrow."""
