"""From landmarks to channels: the skull, the person at rest, the shapes of the head, no lag."""
