"""A whole clip as the released code animates it: the reference of everything live."""
