"""The part of the performance page on hours of serving."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.latency.points import Results
from benchmarks.latency.terminal_report import number
from benchmarks.pages.tables import table, where
from benchmarks.soak.checked_client import MINUTES, MOST_DRIFT_MS, MOST_GROWTH_MB


def section(results: Results) -> Iterator[str]:
    """What `benchmarks.soak.run` wrote."""
    for result in results:
        if result["kind"] != "soak":
            continue
        found = result["soak"]
        yield "## Hours at speed\n"
        yield where(result)
        attacks = found.get("attacks", 0)
        bundle = f", bundle {found['bundle_hash'][:12]}" if "bundle_hash" in found else ""
        minutes = found["seconds"] / 60
        length = "" if minutes == MINUTES else f"--minutes {minutes:g}"
        options = f"{length} --backend {found['backend']} --attacks" if attacks else length
        name = "soak_attacked" if attacks else "soak"
        yield (
            f"`{' '.join(f'posetalk bench soak {options}'.split())} --json "
            f"benchmarks/results/{name}.json` (a busy machine makes "
            f"it longer and nothing else): {minutes:g} minutes of stream time, "
            f"{found['clients']} "
            "clients at a time over real sockets, which come, watch (some ahead of time) or take a "
            f"session of their own ({found['own_sessions_at_once']} at once), push speech, "
            "interrupt and go; "
            f"backend `{found['backend']}`{bundle}. The clock runs as fast as the clients get "
            f"their frames, at most {found['in_flight_s']:g} s in flight: "
            f"{found['times_real_time']:.1f} times real time, "
            f"{found['took_s'] / 60:.1f} minutes in all.\n"
        )
        frames = found["frames"] + found["early_frames"] + found["session_frames"]
        rows = [
            *([("attacks meanwhile", f"{attacks:,}", "")] if attacks else []),
            ("clients that came and went", f"{found['connections']:,}", ""),
            ("sessions of their own", f"{found['sessions']:,}", ""),
            ("interruptions", f"{found['interruptions']:,}", ""),
            ("frames received", f"{frames:,}", ""),
            ("lost", f"{found['lost']:,}", "0"),
            ("out of order", f"{found['disorder']:,}", "0"),
            ("silence left out", f"{found['left_out']:.1f} s", "0"),
            ("drift of the sound's clock", f"{found['drift_ms']:+.1f} ms", f"< {MOST_DRIFT_MS:g}"),
            (
                "memory, from the second tenth to the last",
                f"{found['growth_mb']:+.1f} MB",
                f"< {MOST_GROWTH_MB:g}",
            ),
        ]
        yield table(("", "measured", "wanted"), rows)
        memory = [number(value / 1e6, 1) for value in found["memory"]]
        header = ["tenth of the run", *(str(k + 1) for k in range(len(memory)))]
        yield table(header, [["resident MB, server and clients", *memory]])
        verdict = "; ".join(found["faults"])
        yield f"**It did not hold**: {verdict}.\n" if verdict else "It held.\n"
