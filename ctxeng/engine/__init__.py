"""Both ways from top to bottom (``index``, ``ask``) and the front door (``engine``)."""

from ctxeng.engine.engine import Engine

__all__ = ["Engine"]
