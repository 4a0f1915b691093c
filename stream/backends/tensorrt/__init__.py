"""TensorRT engines: built, kept, and run on a CUDA GPU."""
