"""Watching the face: websocket client, play-out, drawing, window and video.

The folder reads the wire and a head, nothing else: it starts on a machine without torch.
"""
