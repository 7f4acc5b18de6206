"""``python -m benchmarks.peers install`` and ``versions``."""

from __future__ import annotations

import argparse

from benchmarks import peers

EVERYONE = (*peers.PACKAGES, *peers.LOADERS, *peers.INDEXERS, *peers.COMPACTORS)

parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=peers.__doc__)
parser.formatter_class = argparse.RawDescriptionHelpFormatter
parser.add_argument("command", choices=["install", "versions"])
command = parser.parse_args().command
if command == "install":
    for peer in EVERYONE:
        print(f"{peer}: {peers.folder() / peer}", flush=True)
        peers.install(peer)
for peer in filter(peers.is_installed, EVERYONE):
    print(f"{peer}: {peers.versions(peer)}")
