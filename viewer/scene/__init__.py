"""What is drawn: geometry, surface, light and camera, as plain arrays and shaders."""
