"""The networks as ONNX graphs: torch modules traced once, put together, weights by name."""
