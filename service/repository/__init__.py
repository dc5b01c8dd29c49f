"""
The model repository: finds, verifies and loads model versions.

    repository.py      finds versions, and hands out those that are ready
    reconciler.py      loads new versions, and keeps those that serve
    directory.py       what lies in the models directory
    manifest.py        manifest.json
    model.py           a loaded version, or why there is none
    loader.py          from the bytes on disk to a model
    fallback.py        the other file serves if the first cannot be loaded here
    forked.py          runs the trial of a model in a forked child
    sandbox.py         gives up rights before a model's code runs
    estimator_files.py from files to the runtime of the model's own library
    own_code.py        the modules of a version's own code
    skops_file.py      reads model.skops
    skops_nodes.py     builds the parts of a skops file
    booster_files.py   reads a booster's file
    booster_checks.py  checks its trees
    structure.py       checks a loaded estimator part by part
    checking.py        what these checks share
    part_checks.py     checks arrays that compiled code follows
    tree_checks.py     checks trees and ensembles
    sparse_tables.py   checks the indices of sparse tables
    slower.py          tells if a version is slower than the one before
    summary.py         a version described for people
"""
