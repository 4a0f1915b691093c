"""Playing a stream: buffer, loudspeaker, recording, and the viewer that joins them."""
