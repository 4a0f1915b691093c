"""Facts about a face from its geometry: points, regions, distances, maps between faces."""
