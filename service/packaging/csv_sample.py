"""Reads sample rows from a CSV file. The model decides the types: digits may be strings, and "NA" may be a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.feature import Value
from service.packaging.errors import PackagingError
from service.packaging.source import read_sample


class CsvSample:
    """
    The rows of a CSV file.

    Attributes:
        frame: the rows with the types that pandas guesses.
    """

    def __init__(self, file: Path) -> None:
        """
        Read the file: CSV, or a format that stores types (.parquet, .json).

        Raises:
            PackagingError: the file cannot be read, or has no rows.
        """
        self._file = file
        self.frame = read_sample(file)

    def typed(self, strings: Mapping[str, Sequence[Value] | None]) -> Any:
        """
        Return the rows as a DataFrame, with strings in the named columns.

        Args:
            strings: the columns that the model takes as strings, by name, with the values that it knows. Pandas reads
                an empty cell, NA, None... as a gap: here such a cell is a gap only if the model does not know it as a
                value. If the values are None, no cell is a gap.
        """
        if not strings or self._file.suffix in (".parquet", ".json"):  # these formats store types
            return self.frame
        texts, gapped = self._read(dtype=str, keep_default_na=False), self._read(dtype=str)
        frame = self.frame.copy()
        for name, known in strings.items():
            cells = texts[name].to_numpy(dtype=object, copy=True)
            if known is not None:
                gaps = gapped[name].isna().to_numpy() & ~np.isin(cells.astype(str), [str(each) for each in known])
                cells[gaps] = None if None in known else np.nan
            frame[name] = _column(cells)
        return frame

    def _read(self, **options: Any) -> Any:
        import pandas as pd

        try:
            return pd.read_csv(self._file, **options)
        except (OSError, ValueError) as ex:
            raise PackagingError(f"{self._file.name} cannot be read as CSV: {ex}") from ex


def _column(cells: Any) -> Any:
    import pandas as pd

    return pd.Series(cells, dtype=object)
