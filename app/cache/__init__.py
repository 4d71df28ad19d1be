"""The cache: LRU and TTL in process, the shared state of a cluster, and the client that joins the two. No Ray."""
