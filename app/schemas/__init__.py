"""The wire models of all requests and responses. Times are in milliseconds.

Limits come from the settings (`Limits`) and are checked by the code that does the work.
"""
