"""
Packages a fitted estimator as a model version. The service does not import it.

    save.py                save_model: from estimator and sample to a version
    add.py                 the same from a file
    save_onnx.py           the same from an ONNX graph
    source.py              the model's file and where its sample is
    reading.py             reads a file in a child process first
    artifacts.py           an estimator as files
    own_modules.py         the user's own modules that the model needs
    imports.py             the modules that a module imports
    mlflow_model.py        the facts in an MLmodel file
    boosters.py            finds and writes boosters
    sample.py              sample rows as named columns
    csv_sample.py          sample rows of CSV
    date_columns.py        columns of a CSV sample that are dates
    dict_sample.py         sample rows that are dicts
    fresh_load.py          tests if a service would load the files of a version
    version_directory.py   writes a version, all files at once
    errors.py              PackagingError
    inspection/            finds the inputs and outputs of an estimator
    conversion/            converts to ONNX
    onnx_graph/            reads and edits graphs
    proof/                 compares a converted model with its estimator
"""

from service.packaging.save import save_model

__all__ = ["save_model"]
