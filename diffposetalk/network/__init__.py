"""The networks of the paper, under the tensor names of released checkpoints."""
