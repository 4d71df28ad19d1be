"""Authentication: API keys, the key file, and quotas."""
