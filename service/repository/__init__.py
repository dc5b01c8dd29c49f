"""
The model repository: finds, verifies and loads model versions.

    repository.py      finds versions, and hands out the versions that are ready
    reconciler.py      loads new versions, and keeps the versions that serve
    directory.py       lists the models directory and tells if a version has changed
    manifest.py        manifest.json
    model.py           a loaded version, and the reasons for a refusal
    loader.py          verifies the files of a version and makes a model of them
    described.py       compares the outputs in the manifest with the answers
    fallback.py        lets the second file serve if the first cannot be loaded on this machine
    forked.py          runs the trial of a model in a forked child
    sandbox.py         gives up rights before a model's code runs
    estimator_files.py from files to the runtime of the model's own library
    own_code.py        the modules of a version's own code
    skops_file.py      reads model.skops
    skops_nodes.py     builds the parts of a skops file
    frame_methods.py   methods of DataFrame that a model may call
    booster_files.py   reads a booster's file
    booster_checks.py  checks its trees
    structure.py       checks a loaded estimator part by part
    checking.py        functions that all these checks share
    part_checks.py     checks arrays whose values compiled code uses as indices
    tree_checks.py     checks trees and ensembles
    sparse_tables.py   checks the indices of sparse tables
    slower.py          tells if a version is slower than the version before it
    summary.py         describes a version for people
"""
