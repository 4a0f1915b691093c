"""A bundle's networks as graphs that run without torch: ONNX files, and TensorRT engines of them.

`speech_graph` and `sampler_graph` say what is in them, `onnx_writer` writes them, `ship` puts them
into a bundle.  What they were made from and for is in the manifest (`diffposetalk.graphs`).
"""
