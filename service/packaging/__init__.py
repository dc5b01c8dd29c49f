"""
Packages a fitted estimator as a model version. The service does not import it.

    save.py                save_model: makes a version of an estimator and a sample
    add.py                 makes a version of a model's file
    save_onnx.py           makes a version of an ONNX graph
    source.py              finds the model's file and its sample
    boosters.py            finds and writes boosters
    sample.py              sample rows as named columns
    csv_sample.py          sample rows of CSV
    fresh_load.py          tests if a service would load a skops file
    version_directory.py   writes a version, all files at once
    errors.py              PackagingError
    inspection/            finds the inputs and outputs of an estimator
    conversion/            converts to ONNX
    onnx_graph/            reads and edits graphs
    proof/                 compares a converted model with its estimator
"""

from service.packaging.save import save_model

__all__ = ["save_model"]
