"""The 52 ARKit weights of any head."""
