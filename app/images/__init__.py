"""Images: loading, decoding and preprocessing."""
