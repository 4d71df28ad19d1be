"""The wire: reading, negotiating and writing bodies."""
