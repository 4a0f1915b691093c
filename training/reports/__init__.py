"""Reports on a bundle: the starter's page and its parts."""
