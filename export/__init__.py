"""A bundle's networks as graphs that run without torch: ONNX files, and TensorRT engines of them.

`mel_graph`, `hubert_graph`, `sampler_graph` and `hop_graph` say what is in them, `onnx_export`
writes them, `qdq` puts them into 8 bits, `tensorrt` builds engines, `shipped_graphs` puts graphs
into a bundle.  What they were made from and for is in the manifest (`diffposetalk.bundle.graphs`).
"""
