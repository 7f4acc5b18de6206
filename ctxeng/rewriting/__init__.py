"""Makes a question that leans on what was said before stand on its own."""

from ctxeng.rewriting.asked import ModelRewriter
from ctxeng.rewriting.history import FollowUpRewriter, follows_up

__all__ = ["FollowUpRewriter", "ModelRewriter", "follows_up"]
