"""Metrics of a process: memory, CPU time, garbage collector."""

import gc
import time

import psutil

from app.telemetry.metrics import CPU_SECONDS, GC_RUNS, GC_SECONDS, MEMORY
from app.telemetry.registry import Registry


class ProcessMetrics:
    """Adds the process's metrics to every snapshot of `registry`, until the process ends."""

    def __init__(self, registry: Registry, deployment: str, replica: str) -> None:
        self._registry = registry
        self._labels = (deployment, replica)
        self._process = psutil.Process()
        self._gc_began = 0.0
        self._gc_seconds = 0.0
        gc.callbacks.append(self._gc)
        registry.collectors.append(self._collect)

    def _gc(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.perf_counter()
        else:
            self._gc_seconds += time.perf_counter() - self._gc_began

    def _collect(self) -> None:
        registry, labels = self._registry, self._labels
        registry.set(MEMORY, self._process.memory_info().rss, *labels)
        registry.set(CPU_SECONDS, time.process_time(), *labels)
        registry.set(GC_SECONDS, self._gc_seconds, *labels)
        for generation, stats in enumerate(gc.get_stats()):
            registry.set(GC_RUNS, stats["collections"], *labels, str(generation))
