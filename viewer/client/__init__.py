"""The websocket client: one link to a server, and a viewer that follows it through restarts."""
