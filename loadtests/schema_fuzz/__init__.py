"""schemathesis against a live service: requests made of the OpenAPI document, answers checked by it."""
