"""Endpoints: one module per group of routes."""
