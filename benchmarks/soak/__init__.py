"""Hours of serving at speed, every client checked."""
