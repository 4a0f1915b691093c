"""A plain crew-neck shirt that ends the bust."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.part import Part, strip

COLUMNS = 26
# half width, front (y, z), back (y, z), sides lower by, squareness
RINGS = (
    (45, -142, 8, -122, -84, 0, 1.0),
    (49, -134, 14, -112, -88, 3, 1.0),
    (52.5, -133.5, 17.5, -111, -91.5, 3, 1.0),
    (55.5, -138, 20.5, -114, -94.5, 5, 1.0),
    (57, -144, 21.5, -119, -96, 7, 1.0),
    (72, -149, 25, -127, -100, 10, 0.95),
    (98, -158, 31, -138, -104, 12, 0.9),
    (124, -170, 37, -152, -105, 11, 0.85),
    (143, -184, 42, -170, -103, 8, 0.8),
    (152, -200, 46, -194, -100, 2, 0.8),
    (155, -216, 48, -214, -97, 0, 0.8),
    (146, -219, 42, -218, -90, 0, 0.8),
)


def shirt() -> Part:
    """Rows from the inside of the collar to the hem."""
    turn = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    s, c = np.sin(turn), np.cos(turn)
    rows = []
    for width, fy, fz, by, bz, drop, square in RINGS:
        y = 17 + (fy + by) / 2 + (fy - by) / 2 * c - drop * s**2
        z = (fz + bz) / 2 + (fz - bz) / 2 * np.sign(c) * np.abs(c) ** square
        rows.append(np.stack([width * np.sign(s) * np.abs(s) ** square, y, z], -1))
    faces = strip(len(RINGS), COLUMNS, closed=True, flip=True)
    per_row = 2 * COLUMNS
    material = ["collar"] * (4 * per_row) + ["shirt"] * (len(faces) - 4 * per_row)
    return Part("shirt", np.concatenate(rows), faces, material)
