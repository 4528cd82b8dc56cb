"""The clock of the benchmarks."""

import time

import torch


def clock():
    """Seconds, once every GPU is done with what it was given."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)
    return time.perf_counter()
