"""The service: what a request does once it is read. No HTTP, no Ray."""
