"""
Runtimes: each turns a Table into a Prediction.

    runtime.py           the protocol of a runtime
    onnx_runtime.py      ONNX models
    external_data.py     tells if an ONNX model keeps tensors in other files
    sklearn_runtime.py   estimators of scikit-learn
    sklearn_input.py     makes an estimator's input of a table
    one_pass.py          computes labels and probabilities with one transformation of the rows
    sklearn_shortcuts.py skips what scikit-learn repeats in each call
    ngrams.py            makes the n-grams of a text one at a time
    boosters/            XGBoost, LightGBM and CatBoost
"""
