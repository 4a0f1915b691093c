"""Motion labels from phone times, prosody and a style."""
