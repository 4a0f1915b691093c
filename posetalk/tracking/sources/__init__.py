"""Where pictures come from: films with their sound, and the camera."""
