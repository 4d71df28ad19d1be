"""Ray and Serve on this machine, in the process that the launcher watches over (`app.launcher`)."""

import logging
import signal
import threading

import ray
from ray import serve
from ray.serve import Application
from ray.serve.schema import LoggingConfig

from app.process_tree import die_with_parent

OBJECT_STORE_BYTES = 512 * 2**20


def run(application: Application, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Serve's flags are in the environment already."""
    die_with_parent()
    stop = threading.Event()
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level="warning",
    )
    # After `ray.init`, which sets a handler of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # The launcher tells the user what there is to know.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    quiet = LoggingConfig(enable_access_log=False)
    serve.start(http_options={"host": host, "port": port}, logging_config=quiet)
    serve.run(application, name="embedding-service", logging_config=quiet)
    stop.wait()
    serve.shutdown()
    ray.shutdown()
