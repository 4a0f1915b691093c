"""NVIDIA's Audio2Face-3D service spoken by this server: clips of speech in, ARKit weights out."""

import os

# Before gRPC is imported: handshakes that fail are the client's affair, and are not printed here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
