"""Where things are on one face, from its geometry: profile, lips, chin, lids, sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from head.geometry.mesh import Bools, Ints, Points
from head.model import HeadError

AROUND = 32
"""Directions in which a lid's edge is looked for."""
COLUMNS = 25
"""Pairs along the line of the lips, from the right corner to the left one."""


@dataclass(frozen=True)
class FacePoints:
    """A face to be measured: vertices and normals (V, 3), which are skin, the two eyes' centres,
    the distance between them, and the mesh's edges."""

    p: Points
    n: Points
    skin: Bools
    eyes: Points
    ruler: float
    edges: Ints

    def nearest(self, point: Points, allowed: Bools | None = None) -> int:
        far = np.linalg.norm(self.p - point, axis=1)
        far[~(self.skin if allowed is None else self.skin & allowed)] = np.inf
        return int(far.argmin())

    def profile(self) -> dict[str, int]:
        """Nose tip, bridge and base, on the middle line."""
        centre, r = self.eyes.mean(axis=0), self.ruler
        x, y, z = (self.p[:, k] for k in range(3))
        middle = self.skin & (np.abs(x - centre[0]) < 0.09 * r) & (z > centre[2])
        zone = middle & (y < centre[1] + 0.1 * r) & (y > centre[1] - 1.05 * r)
        if not zone.any():
            raise HeadError("no nose is found in front of the eyes; is this a head?")
        tip = int(np.where(zone, z, -np.inf).argmax())
        between = middle & (self.n[:, 2] > 0.2) & (y > y[tip]) & (y < centre[1] + 0.35 * r)
        off = 1.5 * np.abs(x - centre[0])
        nasion = int(np.where(between & (y > centre[1] - 0.15 * r), z + off, np.inf).argmin())
        below = middle & (y < y[tip] - 0.08 * r) & (y > y[tip] - 0.45 * r)
        below &= self.n[:, 2] > 0.3  # not inside the nostrils
        # The base of the nose lies deepest behind the line from its tip to the upper lip.
        foot = np.where(below, z + off + 0.55 * np.abs(y - (y[tip] - 0.25 * r)), np.inf)
        return {"nose_tip": tip, "nasion": nasion, "subnasale": int(foot.argmin())}

    def lips(self, marks: dict[str, int], jaw: Points | None) -> Ints:
        """(COLUMNS, 2) vertices of the upper and the lower lip along the line where they meet."""
        r, base = self.ruler, self.p[marks["subnasale"]]
        x, y, z = (self.p[:, k] for k in range(3))
        zone = self.skin & (np.abs(x - base[0]) < 0.75 * r) & (y < base[1]) & (y > base[1] - r)
        zone &= z > base[2] - 0.75 * r
        index = np.flatnonzero(zone)
        up, down = index[self.n[index, 1] < 0.1], index[self.n[index, 1] > -0.1]
        if jaw is not None:  # at the line the lower lip follows the jaw far more than the upper
            up, down = up[jaw[up] < 0.6], down[jaw[down] > 0.25]
        pairs = _pairs(self.p, up, down, 0.075 * r)
        facing = np.einsum("nk,nk->n", self.n[pairs[:, 0]], self.n[pairs[:, 1]]) < 0.2
        apart = self.p[pairs[:, 0], 1] - self.p[pairs[:, 1], 1] > -0.02 * r
        pairs = pairs[facing & apart]
        if jaw is not None:
            pairs = pairs[jaw[pairs[:, 1]] - jaw[pairs[:, 0]] > 0.1]
        if len(pairs) < 8:
            raise HeadError("no line between the lips is found; its mouth must be closed at rest")
        return _columns(self.p, pairs, float(base[0]), r)

    def line_between(self, told: Mapping[str, int]) -> Ints:
        """`lips` from landmarks: vertices along a bend through corners and middle of each lip."""
        right, left = (self.p[told[f"mouth_{side}"]] for side in ("right", "left"))
        share = np.linspace(-1.0, 1.0, COLUMNS)[:, None]
        straight = (right + left) / 2 + share * (left - right) / 2
        columns = []
        for name in ("lip_upper_mid", "lip_lower_mid"):
            bend = self.p[told[name]] - (right + left) / 2
            curve = straight + (1 - share**2) * bend
            columns.append([self.nearest(point) for point in curve])
            columns[-1][COLUMNS // 2] = told[name]
        return np.array(columns, dtype=np.int64).T

    def mouth(self, upper: Ints, lower: Ints) -> dict[str, int]:
        middle = len(upper) // 2
        r, top, bottom = self.ruler, self.p[upper[middle]], self.p[lower[middle]]
        front = self.n[:, 2] > 0.1
        high = self.nearest(top + np.array([0, 0.125 * r, 0.02 * r]), front)
        low = self.nearest(bottom + np.array([0, -0.145 * r, 0.01 * r]), front)
        return {
            "lip_upper_mid": upper[middle],
            "lip_lower_mid": lower[middle],
            "mouth_right": upper[0],
            "mouth_left": upper[-1],
            "lip_upper_top": high,
            "lip_lower_bottom": low,
        }

    def chin(self, marks: dict[str, int], line: Ints) -> dict[str, int]:
        r, seal = self.ruler, self.p[line[len(line) // 2, 1]]
        x, y, z = (self.p[:, k] for k in range(3))
        middle = self.skin & (np.abs(x - seal[0]) < 0.09 * r) & (y < seal[1] - 0.3 * r)
        front = middle & (y > seal[1] - 0.95 * r) & (z > seal[2] - 0.7 * r)
        if not front.any():
            raise HeadError("no chin is found below the mouth; is this a whole head?")
        chin = int(np.where(front & (y > seal[1] - 0.62 * r), z, -np.inf).argmax())
        # The lowest point of the chin, in front: further back begins the throat.
        near = front & (z > z[chin] - 0.3 * r)
        menton = int(np.where(near, -y + 0.35 * z, -np.inf).argmax())
        return {"chin": chin, "menton": menton}

    def lids(self, side: int) -> Ints:
        """(AROUND,) the edge of the opening; 0 towards the nose, then over the upper lid."""
        centre, r = self.eyes[side], self.ruler
        offset = self.p - centre
        far = np.linalg.norm(offset, axis=1)
        near = self.skin & (far < 0.45 * r) & (offset[:, 2] > 0.02 * r)
        inward = 1.0 if side else -1.0  # towards the nose: +x for the right eye
        u, v = offset[:, 0] * inward, offset[:, 1]
        out_from, turn = np.hypot(u, v), np.arctan2(v, u)  # as seen from the front
        pairs = self.edges[near[self.edges].all(axis=1)]
        out = np.zeros(AROUND, dtype=np.int64)
        for k in range(AROUND):
            # Where edges cross this direction, the one nearest to the axis is the lid's edge.
            off = (turn[pairs] - 2 * np.pi * k / AROUND + np.pi) % (2 * np.pi) - np.pi
            a, b = off[:, 0], off[:, 1]
            crossing = np.flatnonzero((a * b <= 0) & (np.abs(a - b) < np.pi / 2))
            if not len(crossing):
                raise HeadError("no lids are found all round an eye; are its eye joints in place?")
            a, b = np.abs(a[crossing]), np.abs(b[crossing])
            share = a / np.maximum(a + b, 1e-12)
            ends = pairs[crossing]
            height = out_from[ends[:, 0]] * (1 - share) + out_from[ends[:, 1]] * share
            best = height.argmin()
            out[k] = ends[best][int(share[best] > 0.5)]
        return out

    def rim_between(self, side: str, told: Mapping[str, int]) -> Ints:
        """`lids` from landmarks: vertices along an oval through the four of an eye."""
        inner, upper, outer, lower = (self.p[index] for index in told.values())
        centre = (inner + outer) / 2
        turn = 2 * np.pi * np.arange(AROUND)[:, None] / AROUND
        height = np.where(turn < np.pi, upper - centre, centre - lower)
        oval = centre + np.cos(turn) * (inner - centre) + np.sin(turn) * height
        return np.array([self.nearest(point) for point in oval], dtype=np.int64)

    def eye(self, side: str, rim: Ints) -> dict[str, int]:
        x = np.abs(self.p[rim, 0] - self.eyes.mean(axis=0)[0])
        across = np.abs(self.p[rim, 0] - self.eyes[0 if side == "left" else 1, 0])
        height = self.p[rim, 1]
        middle = across < 0.1 * self.ruler
        return {
            f"eye_inner_{side}": rim[x.argmin()],
            f"eye_outer_{side}": rim[x.argmax()],
            f"eye_upper_{side}": rim[np.where(middle, height, -np.inf).argmax()],
            f"eye_lower_{side}": rim[np.where(middle, height, np.inf).argmin()],
        }

    def red(self, marks: dict[str, int], upper: Ints, lower: Ints) -> Points:
        """(V,) how much of each vertex is lip: between two arcs over and under their line."""
        r, p = self.ruler, self.p
        seal = (p[upper] + p[lower]) / 2
        left, right = p[marks["mouth_left"], 0], p[marks["mouth_right"], 0]
        s = (p[:, 0] - (left + right) / 2) / max((left - right) / 2, 1e-6)
        arc = np.clip(1 - np.abs(s) ** 2.2, 0, 1) ** 0.7
        line = np.interp(p[:, 0], *in_order(seal[:, 0], seal[:, 1]))
        depth = np.interp(p[:, 0], *in_order(seal[:, 0], seal[:, 2]))
        middle = seal[len(seal) // 2, 1]
        above = (p[marks["lip_upper_top"], 1] - middle) * arc - (p[:, 1] - line)
        below = (middle - p[marks["lip_lower_bottom"], 1]) * arc + (p[:, 1] - line)
        edge = np.minimum(above, below) / (0.02 * r)
        share = np.clip(edge + 0.5, 0, 1) * (np.abs(s) < 1.02)
        share *= np.clip((p[:, 2] - depth) / (0.04 * r) + 3.0, 0, 1) * self.skin
        return np.asarray(share)

    def hidden(self, marks: dict[str, int], upper: Ints) -> Bools:
        """(V,) the skin inside the mouth: other skin is in front of it."""
        r, p, seal = self.ruler, self.p, self.p[upper[len(upper) // 2]]
        half = abs(p[marks["mouth_left"], 0] - p[marks["mouth_right"], 0]) / 2 + 0.1 * r
        top = 0.8 * (p[marks["subnasale"], 1] - seal[1])
        box = self.skin & (np.abs(p[:, 0] - seal[0]) < half) & (p[:, 1] < seal[1] + top)
        box &= (p[:, 1] > seal[1] - 0.4 * r) & (p[:, 2] > seal[2] - 1.2 * r)
        out = np.zeros(len(p), dtype=bool)
        index = np.flatnonzero(box)
        front = index[self.n[index, 2] > 0]
        for start in range(0, len(index), 512):
            some = index[start : start + 512]
            flat = np.linalg.norm(p[some, None, :2] - p[front][None, :, :2], axis=2)
            ahead = np.where(flat < 0.05 * r, p[front, 2], -np.inf).max(axis=1, initial=-np.inf)
            out[some] = ahead - p[some, 2] > 0.09 * r
        return out

    def sides(self, marks: dict[str, int]) -> dict[str, int]:
        """Points without a name of their own in the geometry, by proportion."""
        r, eyes, base = self.ruler, self.eyes, self.p[marks["subnasale"]]
        out: dict[str, int] = {}
        for k, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
            front = self.n[:, 2] > 0
            wing = np.array([sign * 0.27 * r, 0.13 * r, -0.05 * r])
            out[f"nose_wing_{side}"] = self.nearest(base + wing, front)
            cheek = [eyes[k, 0] + sign * 0.15 * r, eyes[k, 1] - 0.45 * r, eyes[k, 2] + 0.3 * r]
            out[f"cheek_{side}"] = self.nearest(np.array(cheek), front)
            angle = np.array([sign * 0.78 * r, -0.55 * r, -1.18 * r])
            out[f"jaw_{side}"] = self.nearest(base + angle)
            temple = [eyes[k, 0] + sign * 0.55 * r, eyes[k, 1] + 0.05 * r, eyes[k, 2] - 0.7 * r]
            out[f"face_side_{side}"] = self.nearest(np.array(temple))
        return out


def _pairs(p: Points, up: Ints, down: Ints, reach: float) -> Ints:
    """(N, 2) each of `up` with the nearest of `down` within `reach`, and the other way round."""
    found = []
    for one, other, turned in ((up, down, False), (down, up, True)):
        for start in range(0, len(one), 512):
            some = one[start : start + 512]
            far = np.linalg.norm(p[some, None] - p[other][None], axis=2)
            best = far.argmin(axis=1)
            close = far[np.arange(len(some)), best] < reach
            pair = np.stack([some[close], other[best[close]]], axis=1)
            found.append(pair[:, ::-1] if turned else pair)
    return np.unique(np.concatenate(found), axis=0)


def _columns(p: Points, pairs: Ints, middle: float, r: float) -> Ints:
    """The foremost pair in each column of the mouth, out to where the line ends on either side."""
    at = (p[pairs[:, 0]] + p[pairs[:, 1]]) / 2
    gap = np.linalg.norm(p[pairs[:, 0]] - p[pairs[:, 1]], axis=1)
    width, step = 0.75 * r, 0.035 * r
    foremost: dict[int, int] = {}
    column = np.round((at[:, 0] - middle) / step).astype(int)
    for k in np.unique(column[np.abs(at[:, 0] - middle) < width]):
        here = np.flatnonzero(column == k)
        here = here[gap[here] <= gap[here].min() + 0.02 * r]  # where the lips touch
        foremost[int(k)] = int(here[at[here, 2].argmax()])
    kept: list[int] = []
    for direction in (-1, 1):
        last, misses, k = None, 0, 0 if direction > 0 else -1
        while misses < 3:
            pick = foremost.get(k)
            ok = pick is not None and (
                last is None or np.linalg.norm(at[pick] - at[last]) < 0.075 * r * (1 + misses)
            )
            if ok:
                kept.append(pick)  # type: ignore[arg-type]
                last, misses = pick, 0
            else:
                misses += 1
            k += direction
    if not kept:
        raise HeadError("no line between the lips is found; its mouth must be closed at rest")
    half = min(abs(at[kept, 0].min() - middle), abs(at[kept, 0].max() - middle)) + 0.02 * r
    kept = sorted((i for i in kept if abs(at[i, 0] - middle) <= half), key=lambda i: at[i, 0])
    line = at[kept]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    goals = np.linspace(0, along[-1], COLUMNS)
    chosen = [kept[int(np.abs(along - goal).argmin())] for goal in goals]
    return pairs[chosen]


def in_order(x: Points, y: Points) -> tuple[Points, Points]:
    order = np.argsort(x)
    return x[order], y[order]
