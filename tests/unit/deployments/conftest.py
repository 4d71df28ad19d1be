"""The imports of Ray warn, and warnings are errors here."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve.batching import _BatchQueue

# Collected when its loop is gone, which may be in the middle of any later test, a queue would begin a loop of its own
# and leave its sockets open. So this is never undone.
setattr(_BatchQueue, "__del__", lambda self: None)  # noqa: B010
