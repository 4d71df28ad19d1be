"""The short form of `make fuzz`: through HAProxy and straight to the replicas. schemathesis has a test of its own."""

from loadtests import fuzz
from loadtests.fuzz_watch import deaths, lives
from loadtests.running import RunningService

COUNTS = {"requests": 1200, "hypothesis": 200, "images": 96, "wire": 160}


def test_nearly_right_requests_damaged_images_and_broken_http(service: RunningService) -> None:
    direct = fuzz.direct_ports(service)
    assert len(direct) == 2
    fuzz.fuzz("HAProxy", service.port, {"images": 32}, 10)  # decoders begin with the first images
    before = lives(service)
    for through, port, seed in (("HAProxy", service.port, 11), ("replica", direct[0], 12)):
        rows = fuzz.fuzz(through, port, COUNTS, seed)
        assert {row.what: row.asked for row in rows} == COUNTS
        assert [fault for row in rows for fault in row.faults] == []
    assert deaths(before, lives(service)) == []
