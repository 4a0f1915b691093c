"""Speech that is pushed ahead of its time: sessions of clients, and the server's own."""
