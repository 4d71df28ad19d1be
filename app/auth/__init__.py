"""Authentication: API keys, the file that holds them, and quotas."""
