"""The commands that make and measure a model: recordings in, bundles and tables out."""
