"""The wire format as pure bytes and text: messages, their codec, and channel sets."""
