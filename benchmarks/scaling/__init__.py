"""Figures of many machines: sessions through Ray's proxy and past it, replicas killed, corpora."""
