"""What made the demo speech, its motion and the README's picture; not in the wheel."""
