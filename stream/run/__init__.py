"""What drives sessions: queues, threads, batches, and what is counted on the way."""
