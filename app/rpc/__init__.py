"""RPC connections between replicas: calls as frames over TCP, after a handshake. No Ray."""
