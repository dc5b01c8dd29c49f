"""
The endpoints. An endpoint that predicts decodes the body, predicts, and encodes the answer.

    prediction.py       /prediction and /v1/models
    invocations.py      /invocations
    open_inference.py   /v2
    inference_body.py   bodies of /v2, decompressed and split
    statistics.py       /v2/models/{name}/stats
    probes.py           /healthz and /readyz
    static.py           the page at / and its files
    api_docs.py         /openapi.json and /docs
"""
