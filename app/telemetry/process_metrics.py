"""Metrics of a process: memory, CPU time, garbage collector."""

import gc
import time

import psutil

from app.telemetry.metrics import CPU_SECONDS, GC_RUNS, GC_SECONDS, MEMORY
from app.telemetry.registry import Registry


def record_process(registry: Registry, *labels: str) -> None:
    """From now on in every snapshot of `registry`. `labels`: deployment and replica."""
    process = psutil.Process()
    began = paused_s = 0.0

    def time_pause(phase: str, info: dict[str, int]) -> None:
        nonlocal began, paused_s
        if phase == "start":
            began = time.perf_counter()
        else:
            paused_s += time.perf_counter() - began

    def collect() -> None:
        registry.set(MEMORY, process.memory_info().rss, *labels)
        registry.set(CPU_SECONDS, time.process_time(), *labels)
        registry.set(GC_SECONDS, paused_s, *labels)
        for generation, stats in enumerate(gc.get_stats()):
            registry.set(GC_RUNS, stats["collections"], *labels, str(generation))

    gc.callbacks.append(time_pause)
    registry.collectors.append(collect)
