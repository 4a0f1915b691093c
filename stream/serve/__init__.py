"""The websocket server: who may come in, what everybody sees, and sessions of clients' own."""
