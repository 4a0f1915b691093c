"""Sessions whose state lies with the model: what goes over, what comes back, and the slots."""
