"""
Models of XGBoost, LightGBM and CatBoost, read from each library's own file. No code in such a file runs.

load             loads a booster by its library's name; puts it after the steps of a pipeline
xgboost_model    model.ubj
lightgbm_model   model.txt
catboost_model   model.cbm
fitted           the base class of LightGBM's and CatBoost's estimators

Each module gives an object with the methods of a scikit-learn estimator. A library is only imported if one of its
models serves.
"""
