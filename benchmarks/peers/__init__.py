"""Other people's lip synchronisation beside ours, on the same sound: `posetalk bench peers`."""
