"""
Metrics, drift and logs.

    metrics.py        the counters and histograms
    multiprocess.py   the counters' files, shared by all workers
    mmap_files.py     makes, reads and cleans up these files
    model_gauges.py   gauges of the versions that serve
    drift.py          counts the values that the sample did not have
    logs.py           writes logs as JSON lines, or as text for people
"""
