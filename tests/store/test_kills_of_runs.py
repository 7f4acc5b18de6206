"""``kill -9`` while runs and turns are written: what was acknowledged is there, whole; nothing is
there by half.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from ctxeng import Scope
from ctxeng.store import open_store
from ctxeng.store.store import FILE

SCOPE = Scope()
KEPT = 5
TIMEOUT = 60
WRITER = """
import sys
from pathlib import Path
from ctxeng import Message, Scope
from ctxeng.protocols import Retention
from ctxeng.store import open_store
from ctxeng.testing.stores import trace_record
store = open_store(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 100_000):
    said = [Message(role=role, content=f"{role} {number}") for role in ("user", "assistant")]
    store.add_turns(Scope(), "session", said)
    store.put_session_state(Scope(), "session", str(number))
    run = trace_record(f"{number:032}", f"own {number} " * 9, "shared " * 20,
                       time=f"2026-01-31T10:00:00.{number:06}+00:00")
    store.put_trace(Scope(), run, Retention(runs=5))
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_three_kills_lose_no_acknowledged_turn_and_no_run(tmp_path):
    draw = random.Random(3)
    done = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(done)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(draw.randrange(3, 30)):
            done = int(child.stdout.readline()) + 1
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate(timeout=TIMEOUT)
        lines = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        done = int(lines[-1]) + 1 if lines else done

        store = open_store(tmp_path)
        turns = store.turns(SCOPE, "session")
        under_way = len(turns) // 2 - done
        assert under_way in (0, 1)
        expected = [
            f"{role} {n}" for n in range(done + under_way) for role in ("user", "assistant")
        ]
        assert [turn.content for turn in turns] == expected
        assert int(store.session_state(SCOPE, "session")) in (done - 1, done)
        runs = store.traces(SCOPE)
        assert len(runs) <= KEPT
        assert int(runs[0].id) in (done - 1, done)
        for run in runs:
            whole = store.trace(SCOPE, run.id)
            own = f"own {int(run.id)} " * 9
            assert sorted(whole.texts.values()) == sorted([own, "shared " * 20])
        store.close()
        with closing(sqlite3.connect(tmp_path / FILE)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            assert db.execute("SELECT count(*) FROM text").fetchone()[0] == len(runs) + 1
        done += under_way  # the next one goes on behind it
    assert len(runs) == KEPT
