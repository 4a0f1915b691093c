"""The web page as values: its files, and the head as one file."""
