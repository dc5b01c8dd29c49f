"""
Runtimes: each turns a Table into a Prediction.

    runtime.py           the protocol of a runtime
    onnx_runtime.py      ONNX models
    external_data.py     finds tensors that an ONNX model keeps elsewhere
    sklearn_runtime.py   estimators of scikit-learn
    sklearn_input.py     a table as the estimator was fitted on
    boosters/            XGBoost, LightGBM and CatBoost
"""
