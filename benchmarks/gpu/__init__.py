"""The proof on one card: numerics, latency, sessions, memory, in order of worth and resumable."""
