"""A bundle on disk: weights, configuration, styles, and exported graphs."""
