"""
Converts an estimator to ONNX.

    convert.py                  starts the child process, and waits for it
    child.py                    converts, in the child process
    converters.py               linear classifiers, imputers and trees
    hist_gradient_boosting.py   histogram-based gradient boosting
    hist_categories.py          the categories in its trees
    missing_categories.py       encoders that know a missing value as a category
    forests.py                  forests, added tree by tree
    parts.py                    estimators made of others, in a shape that converts
    composed.py                 voting, transformed targets, functions of NumPy
    several.py                  classifiers of several outputs
    ufuncs.py                   functions of NumPy
    powers.py                   targets that a PowerTransformer transformed
    neighbours.py               finds two neighbouring numbers between which an answer changes
    boosters.py                 XGBoost, LightGBM and CatBoost
    booster_trees.py            reads the trees of boosters
    nodes.py                    adds nodes, constants and labels to graphs
    errors.py                   the error of a part that has no exact conversion
"""
