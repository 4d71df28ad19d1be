"""The operating system: processes, ports, sockets, memory and files."""
