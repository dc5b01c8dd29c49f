"""
Metrics, drift and logs.

    metrics.py        the counters and histograms
    multiprocess.py   the counters' files, shared by all workers
    mmap_files.py     how such a file is made, read and cleaned up
    model_gauges.py   gauges of the versions that serve
    drift.py          counts values that the sample did not have
    logs.py           logs as JSON lines, or for people
"""
