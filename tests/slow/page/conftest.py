"""The page, against the service that many tests share: what is long. The rest: tests/cluster."""

from tests.support.browsing import browser, troubled, visit

__all__ = ["browser", "troubled", "visit"]
