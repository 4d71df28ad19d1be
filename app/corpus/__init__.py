"""Bulk embedding: whole files and tables to vectors, in parts that survive an interruption."""
