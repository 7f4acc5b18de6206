"""Rebuilds the prompts of recorded runs, and says why two of them differ. It asks nothing but the
records: no index, no document, no model.
"""

from ctxeng.replay.diff import diff
from ctxeng.replay.difference import Difference
from ctxeng.replay.replay import replay

__all__ = ["Difference", "diff", "replay"]
