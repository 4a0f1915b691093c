"""What the commands and the Python face share: sessions opened, streamed, animated."""
