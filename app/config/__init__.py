"""Configuration: the settings, the file they come from, and the only place that reads the environment."""
