"""The pages of figures, written from results alone."""
