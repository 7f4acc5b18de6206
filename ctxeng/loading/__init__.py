"""Turns files into documents: found, recognised by content, read, never trusted."""

from ctxeng.loading.load import FileLoader, Loaded, load, load_bytes, load_source
from ctxeng.loading.made import document_id
from ctxeng.loading.walk import walk

__all__ = [
    "FileLoader",
    "Loaded",
    "document_id",
    "load",
    "load_bytes",
    "load_source",
    "walk",
]
