"""The pure streaming session: sound in, frames out; no I/O, no threads, no clock."""
