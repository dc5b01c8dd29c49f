"""
Converts an estimator to ONNX.

    convert.py                  starts the child process, and waits for it
    child.py                    converts, in the child process
    converters.py               linear classifiers, imputers and trees
    hist_gradient_boosting.py   histogram-based gradient boosting
    forests.py                  forests, added tree by tree
    neighbours.py               finds the two neighbouring numbers between which an answer changes
    boosters.py                 XGBoost, LightGBM and CatBoost
    booster_trees.py            reads the trees of boosters
    nodes.py                    adds nodes, constants and labels to graphs
"""
