"""Speed, memory and start."""
