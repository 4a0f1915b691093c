"""A bundle's exported graphs, run by onnxruntime; no torch anywhere."""
