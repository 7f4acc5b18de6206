"""The record of a run: what every stage may write to, what is kept of it, and its spans."""

from ctxeng.trace.recorder import Facts, Recorder, keep, recording, stage

__all__ = ["Facts", "Recorder", "keep", "recording", "stage"]
