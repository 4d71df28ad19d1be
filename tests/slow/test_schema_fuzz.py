"""schemathesis over the live service: a short run of a fixed seed. `make schemathesis` makes thousands of cases."""

from app.api.routes import ROUTES
from loadtests.running import RunningService
from loadtests.schema_fuzz.running import run


def test_requests_made_of_the_document_are_answered_as_it_says(service: RunningService) -> None:
    outcome = run(service.url, 15, phases="examples,fuzzing")
    assert outcome.passed, outcome.report
    # It counts the methods of one path as one operation.
    assert outcome.operations == len({route.template for route in ROUTES})
    assert outcome.cases >= 200
