"""
A model server for fitted scikit-learn models: Falcon on Gunicorn, behind Nginx.

Read app.py first: its route table is the table of contents. One request takes this way:

    client -> nginx -> gunicorn worker -> Measurement -> RequestId -> Authentication (if keys are set) -> router
           -> validation: finds the model, turns the body into a Table by its signature, or answers 400, 413, 415 or 422
           -> resource: asks the model's runtime, turns the Prediction into the answer's bytes
    any exception -> problems: one JSON shape for every error, never a traceback
    after the answer was sent -> Measurement: counts the request, and logs it if it was slow

The packages. The docstring of a package lists its modules. A package imports only packages below it in this list;
pyproject.toml states the rule.

    commands/     the command line, one module for each command
    resources/    the endpoints, one module for each protocol
    scoring/      scores files without a server, in chunks, on all cores
    processes/    Gunicorn's master and workers, and the watcher of the models directory
    http/         steps that surround every request: its id, keys, validation, errors and measurement
    monitoring/   metrics, drift and logs
    packaging/    turns a fitted estimator into a model version on disk; serving never imports it
    repository/   finds, verifies and loads model versions, and hands out immutable snapshots
    codecs/       turns bytes into tables, and predictions into bytes, one module for each format; no HTTP
    runtimes/     turns a Table into a Prediction, one module for each model format; no HTTP and no JSON
    static/       the page: HTML, CSS and JavaScript modules, without a build step

The modules that all share: settings.py, errors.py, wording.py (parts of sentences), feature.py, signature.py, table.py,
prediction.py, several_outputs.py (probabilities of several outputs) and dates.py. private_names.py lists the private
names of other libraries that the service uses.
"""

__version__ = "0.1.0"
