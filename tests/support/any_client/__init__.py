"""A client that may send anything, and a model that notes what it was given."""
