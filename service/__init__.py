"""
A model server for fitted scikit-learn models: Falcon on Gunicorn, behind Nginx.

Read app.py first: its route table is the table of contents. One request goes

    client -> nginx -> gunicorn worker -> Measurement -> RequestId -> Authentication (where keys are set) -> router
           -> JSONValidation: looks the model up, body -> Table by its signature, or 400 / 413 / 415 / 422
           -> resource: asks the model's runtime, Table -> Prediction -> JSON
    any exception -> problems: one shape for every error, never a traceback
    once the answer was sent -> Measurement: counts the request, and logs it where it was slow

What surrounds a request
    app.py              collaborators in, routes out
    settings.py         every environment variable, its type and its default
    middleware.py       request id, authentication, validation of bodies
    errors.py           what can go wrong with a request, in the words of the domain
    problems.py         the error contract: from domain error to HTTP status, in one shape
    worker.py           what Gunicorn's workers do otherwise here; wire.py: what they send otherwise
    start.py            what signals do while the models are loaded
    master.py           what its master does at each SIGHUP; watcher.py: the process that sends that, where it is wanted
Seen from outside
    measurement.py      a request's time, and what was predicted; metrics.py: the counters; drift.py: what no sample had
    slots.py            where each process counts; series.py: its files; inventory.py: what serves
    logs.py             one JSON line for each event; tracing.py: a span for each request, for OpenTelemetry
What answers it: resources/, one file for each protocol
    prediction.py       /prediction and /v1
    inference.py        /v2, with bodies.py, envelope.py, diagnosis.py, inputs.py, outputs.py, tensors.py and
                        json_tensors.py
    invocations.py      /invocations, with shapes.py
    arrays.py           numbers to JSON
    statistics.py       /v2's statistics, from the same counters as /metrics
    health.py, pages.py what probes, people and Prometheus ask
What is in it
    signature.py        what a model takes and gives
    table.py            the rows of one request
    instances.py        rows as JSON, in one typed decoding; flat_rows.py: many rows of numbers
    frames.py           tables as JSON; csv_table.py: as CSV
    explain.py          what is wrong with a body, and where; walk.py reads it one token at a time
What computes
    runtimes.py         ONNX Runtime, scikit-learn; estimator_input.py: a table as the estimator wants it
    repository.py       finds model versions and hands out what is ready
    versions.py         looks at each version: new, unchanged, broken, rewritten, still being copied
    tree.py             what lies in the models directory, by the dates of files
    loading.py          one version, from the bytes on disk to what answers
    manifest.py         what one model version is, and what proves it
    trial.py            runs what may crash or hang in a forked child
    agreement.py        whether two predictions are the same answer
How a model comes there; nothing that serves imports these
    packaging.py        from a fitted estimator to a version on disk; adding.py: from a file
    onnx_file.py        from an ONNX file; onnx_inputs.py, onnx_outputs.py: what its graph takes and gives
    sample.py           sample rows in any form; answers.py: what the model gives
    inspection.py       what it takes; encoders.py: the values that it knows
    conversion.py       to ONNX; converters.py, boosting.py, onnx_nodes.py, graph.py: what skl2onnx lacks
    proof.py            that it answers the same, on what rows.py and thresholds.py make
    __main__.py         the command line
"""

__version__ = "0.1.0"
