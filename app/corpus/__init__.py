"""Bulk embedding of files and tables, in parts that survive an interruption."""
