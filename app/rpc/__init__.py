"""RPC connections between replicas: frames over TCP. No Ray."""
