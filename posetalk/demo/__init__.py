"""The demo speech, and the scripts that made it and the README's picture."""
