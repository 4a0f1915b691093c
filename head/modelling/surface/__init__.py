"""The skin of the built-in head: a signed distance field and a mesh on it."""
