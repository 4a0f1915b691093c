"""The networks written as ONNX graphs, operator by operator."""
