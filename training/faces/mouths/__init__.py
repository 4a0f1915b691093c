"""Real mouths: tracked lips of GRID, and the coarticulation model fitted to them."""
