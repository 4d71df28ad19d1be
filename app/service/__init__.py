"""The service: processes parsed requests. No HTTP, no Ray."""
