"""One client: what waits for it, what it asks for, the sound it brings."""
