"""HTTP to services on this machine."""

from http.client import HTTPResponse
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener


class _AnyStatus(HTTPErrorProcessor):
    """urllib raises each status but 2xx as an error, and whoever passes over that leaves its connection open."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response


# Without a proxy, whatever the environment says. `open` raises OSError, or HTTPException where no HTTP is spoken.
direct = build_opener(ProxyHandler({}), _AnyStatus)
