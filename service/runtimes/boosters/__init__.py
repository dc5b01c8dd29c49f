"""
Models of XGBoost, LightGBM and CatBoost, read from each library's own file: nothing in such a file is run.

load             by the library's name, and after the steps of a pipeline
xgboost_model    model.ubj
lightgbm_model   model.txt
catboost_model   model.cbm
fitted           shared by those of the last two

Each gives an object with the methods of a scikit-learn estimator. A library is imported if a model of it serves.
"""
