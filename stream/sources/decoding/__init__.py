"""Sound files decoded in constant memory: libsndfile for plain ones, FFmpeg for all others."""
