"""What a terminal shows: messages, progress, status, and what is missing."""
