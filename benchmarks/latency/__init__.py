"""`bench-latency`: from the microphone to a client in another process."""
