"""The paper's training of both networks, and its ablations."""
