"""A bundle's networks as graphs that run without torch: ONNX files, and TensorRT engines of them.

`graphs` traces the bundle's own torch modules, `onnx_export` writes what came of it, `qdq` puts it
into 8 bits, `tensorrt` builds engines, `shipped_graphs` puts graphs into a bundle.  What they were
made from and for is in the manifest (`diffposetalk.bundle.graphs`).
"""
