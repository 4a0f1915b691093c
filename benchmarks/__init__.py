"""Figures from the product's own objects: `bench-latency`, `throughput`, and the page they fill.

Nothing here infers, draws or sends: processes are started, moments are noted, numbers are printed.
"""
