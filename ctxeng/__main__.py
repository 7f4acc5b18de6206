"""``python -m ctxeng`` is the command line."""

from ctxeng.cli import main

main()
