"""The page, against the service that many tests share."""

from tests.support.browsing import browser, troubled, visit

__all__ = ["browser", "troubled", "visit"]
