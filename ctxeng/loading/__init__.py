"""Turns files into documents: found, recognised by content, read, never trusted."""

from ctxeng.loading.load import load, load_bytes
from ctxeng.loading.made import document_id
from ctxeng.loading.walk import walk

__all__ = ["document_id", "load", "load_bytes", "walk"]
