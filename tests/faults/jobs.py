"""What the forked processes of the fault tests do: work until a fault comes, or look at what is
left. Each job is one function of its request; what it returns goes to the test as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import look
import world

import ctxeng.engine.index
import ctxeng.indexing.catchup
import ctxeng.indexing.chroma
from ctxeng import CtxengError, Document, Engine, Settings
from ctxeng.embedding import StaticEmbedder
from ctxeng.indexing.chroma import HNSW
from ctxeng.protocols import Progress
from ctxeng.settings import EmbeddingSettings, IndexingSettings
from ctxeng.text.tokens import PackagedTokenCounter


def warm_up() -> None:
    """Load what every job needs, before the fork; no thread may be started here."""
    logging.disable(logging.WARNING)  # closing under a full disk is told there; tests ask for it
    StaticEmbedder().embed(["warm"], "document")
    PackagedTokenCounter().count("warm")
    # A job that becomes another user may not read these files any more.
    import asyncio  # noqa: F401

    import ctxeng.loading.plain  # noqa: F401


def prepare(request: dict[str, Any]) -> None:
    """What takes time and is the same for many jobs, before the fork."""
    if "world" in request:
        world.moves(**request["world"])
    if request["dense"] == "chroma":
        import chromadb  # noqa: F401


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Make the moves, acknowledging each; at the fault's call the process dies or an error comes.

    After an error reading is tried; then the fault is lifted and the same move is made again.
    """
    _small_batches(request)
    root, moves = Path(request["root"]), world.moves(**request["world"])
    said: dict[str, Any] = {"errors": [], "read_after_error": [], "calls": 0}
    shim = _Shim(request["fault"], root)
    shim.arm()
    start = _acknowledged(root)
    engine = None
    try:
        engine = _opened(request)
        for number in range(start, request.get("stop_before", len(moves))):
            try:
                make(engine, moves[number], root / "files")
            except CtxengError as error:
                said["errors"].append(str(error))
                if request["leave"]:
                    break
                said["read_after_error"] += _readable(engine, moves, number)
                shim.disarm()
                make(engine, moves[number], root / "files")
            _acknowledge(root, number)
            if request.get("die_after") == number:
                os.kill(os.getpid(), signal.SIGKILL)
    except CtxengError as error:  # not opened, or the same move failed again
        said["errors"].append(str(error))
        if not shim.armed and not request["leave"]:
            said["stuck"] = str(error)
    said["calls"] = shim.calls()
    if engine is not None:
        try:
            engine.close()
        except CtxengError as error:
            said["errors"].append(str(error))
    return said


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Open what a fault left and look at everything; with ``finish`` make the other moves too."""
    _small_batches(request)
    root, moves = Path(request["root"]), world.moves(**request["world"])
    done = _acknowledged(root)
    at = moves[done - 1].after if done else {}
    under_way = moves[done].after if done < len(moves) else at
    ever = sorted({t for move in moves for text in move.after.values() for t in own(text)})
    found: list[look.Problem] = []
    dense = ""

    def see(engine: Engine, before: world.State, after: world.State) -> None:
        found.extend(
            look.problems(
                engine, root / "workspace", root / "files", before=before, after=after, ever=ever
            )
        )

    engine = _opened(request)
    see(engine, at, under_way)
    if request["finish"]:
        for number in range(done, len(moves)):
            make(engine, moves[number], root / "files")
            if number == done:
                see(engine, under_way, under_way)
        unchanged = engine.index(root / "files", wait=True)
        assert unchanged.unchanged and not unchanged.added + unchanged.changed + unchanged.removed
        engine.close()
        engine = _opened(request)
        see(engine, moves[-1].after, moves[-1].after)
        dense = engine.status().dense
    engine.close()
    return {
        "done": done,
        "dense": dense,
        "problems": [[problem.kind, problem.what] for problem in found],
        "everything": look.everything(root / "workspace", root / "files"),
    }


def answers(request: dict[str, Any]) -> dict[str, Any]:
    """Which chunks each question finds; or the error that opening or asking raised.

    By terms all that have them, in fixed order: deleted rows still count in an index that was not
    made anew, so scores differ a little. By vectors the five nearest, the nearest first.
    """
    moves = world.moves(**request["world"])
    questions = sorted({term for text in moves[-1].after.values() for term in own(text)})
    questions = questions[::2] + world.VOCABULARY[::24]
    try:
        engine = _opened(request)
    except CtxengError as error:
        return {"error": str(error)}
    found: dict[str, list[str]] = {}
    try:
        if request.get("index_first"):
            engine.index(Path(request["root"]) / "files", wait=True)
        for question in questions:
            by_terms = engine.search(question, mode="lexical", limit=1_000)
            found[f"lexical {question}"] = sorted(hit.id for hit in by_terms)
            by_vector = engine.search(question, mode="dense", limit=5)
            found[f"dense {question}"] = [hit.id for hit in by_vector]
            both = engine.search(question, limit=1_000)
            found[f"hybrid {question}"] = sorted(hit.id for hit in both)
        dense = engine.status().dense
    except CtxengError as error:
        return {"error": str(error)}
    finally:
        engine.close()
    return {"found": found, "dense": dense}


def hold(request: dict[str, Any]) -> dict[str, Any]:
    """Write until told to go on: index one document, and keep the lock meanwhile."""
    root = Path(request["root"])

    def wait(_: Progress) -> None:
        (root / "holding").touch()
        wait_for(root / "go on")

    with _opened(request) as engine:
        report = engine.index(Document(id="held", text="The okapi waits here."), on_progress=wait)
    return {"pid": os.getpid(), "added": report.added}


def write_generations(request: dict[str, Any]) -> dict[str, Any]:
    """Change the same documents again and again, all in one transaction each time."""
    _small_batches(request)
    with _opened(request) as engine:
        for number in range(1, request["generations"] + 1):
            engine.index(generation(number, request["documents"]))
    return {}


def read_beside(request: dict[str, Any]) -> dict[str, Any]:
    """Ask for those documents, and for one that never changes, while they are written."""
    wrong: list[str] = []
    seen: dict[str, int] = {}
    newest, short = 0, dict.fromkeys(("lexical", "dense", "hybrid"), 0)
    with _opened(request) as engine:
        for number in range(request["queries"]):
            mode = [*short][number % 3]
            steady = engine.search("The steady okapi", mode=mode, limit=3)
            if not steady or steady[0].document_id != "steady":
                wrong.append(f"{number} {mode}: the unchanged document is not found")
            hits = engine.search("quokka generation", mode=mode, limit=50)
            if len({hit.id for hit in hits}) != len(hits):
                wrong.append(f"{number} {mode}: a chunk is found twice")
            changing = [hit for hit in hits if hit.document_id != "steady"]
            if len({hit.document_id for hit in changing}) != len(changing):
                wrong.append(f"{number} {mode}: a document is found in two versions")
            short[mode] += len(changing) < request["documents"]
            for hit in changing:
                found = int(hit.text.split("generation ")[1].split()[0])
                if found < seen.get(hit.document_id, 0):
                    wrong.append(f"{number} {mode}: {hit.document_id} went back to {found}")
                seen[hit.document_id] = newest = max(found, seen.get(hit.document_id, 0))
    return {"wrong": wrong[:20], "short": short, "newest": newest}


def generation(number: int, documents: int) -> list[Document]:
    return [
        Document(id=f"d{i}", text=f"A quokka of generation {number} lives at the {place}.")
        for i, place in enumerate(world.VOCABULARY[:documents])
    ]


def read_and_write_as_another_user(request: dict[str, Any]) -> dict[str, Any]:
    """Search a workspace that may not be written, and try to write it all the same."""
    import rich.console
    import rich.text  # noqa: F401

    from ctxeng.cli.app import run

    if os.getuid() == 0:
        os.setgid(request["uid"])
        os.setuid(request["uid"])
    said = {"found": _opened_and_asked({**request, "read_only": True}, request["question"])}
    for name, read_only in (("open", False), ("write", True)):
        try:
            with _opened({**request, "read_only": read_only}) as engine:
                engine.index(Document(id="new", text="new"))
            said[name] = ""
        except CtxengError as error:
            said[name] = str(error)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        workspace = f"{request['root']}/workspace"
        code = run(["search", request["question"], "--workspace", workspace, "--json"])
    return {**said, "command": [code, out.getvalue(), err.getvalue()]}


def _opened_and_asked(request: dict[str, Any], question: str) -> dict[str, list[str]]:
    with _opened(request) as engine:
        return {
            mode: [hit.text for hit in engine.search(question, mode=mode, limit=1)]
            for mode in ("lexical", "dense", "hybrid")
        }


def work_with_small_files(request: dict[str, Any]) -> dict[str, Any]:
    """Make the moves while no file may grow beyond a limit; then without it."""
    _small_batches(request)
    root, moves = Path(request["root"]), world.moves(**request["world"])
    said: dict[str, Any] = {"errors": [], "unreadable": []}
    with _opened(request) as engine:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["bytes"], hard))
        for number, move in enumerate(moves):
            try:
                make(engine, move, root / "files")
            except CtxengError as error:
                said["errors"].append(str(error))
                said["unreadable"] += _readable(engine, moves, number)
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                make(engine, move, root / "files")
            _acknowledge(root, number)
    return said


def wait_for(path: Path) -> None:
    """Until the file is there."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"waited in vain for {path}"
        select.select([], [], [], 0.01)


own = world.own_terms


def make(engine: Engine, move: world.Move, folder: Path) -> None:
    match move.kind:
        case "folder":
            world.write_folder(folder, move.after)
            report = engine.index(folder, wait=True)
            assert not report.failed, report.failed
        case "documents":
            engine.index(
                [
                    Document(id=key.removeprefix("document:"), text=move.after[key])
                    for key in move.keys
                ],
                wait=True,
            )
        case "remove":
            engine.remove(*(key.removeprefix("document:") for key in move.keys))


def _readable(engine: Engine, moves: list[world.Move], number: int) -> list[str]:
    """What of the acknowledged state cannot be found while every write fails."""
    missing = []
    under_way = moves[number].after
    for key, text in (moves[number - 1].after if number else {}).items():
        if under_way.get(key) != text:
            continue
        for term in own(text):
            if not any(term in hit.text for hit in engine.search(term, mode="lexical")):
                missing.append(term)
            if not engine.search(term, mode="dense"):
                missing.append(f"{term} by vector")
    return missing


def _opened(request: dict[str, Any]) -> Engine:
    settings = Settings(
        embedding=EmbeddingSettings(model="static", batch_size=8),
        indexing=IndexingSettings(dense=request["dense"]),
    )
    return Engine.open(
        Path(request["root"]) / "workspace",
        settings=settings,
        read_only=request.get("read_only", False),
    )


def _small_batches(request: dict[str, Any]) -> None:
    """Several transactions and commits to a move, so that faults can come between them."""
    if request["small_batches"]:
        ctxeng.engine.index.BATCH_SOURCES = 4
        ctxeng.indexing.catchup.WINDOW = 20
        ctxeng.indexing.chroma.BATCH = 8
        ctxeng.indexing.chroma.HNSW = {**HNSW, "batch_size": 5, "sync_threshold": 10}


def _acknowledge(root: Path, number: int) -> None:
    with (root / "acknowledged").open("ab") as file:
        file.write(b"%d\n" % number)
        os.fsync(file.fileno())


def _acknowledged(root: Path) -> int:
    """How many moves were acknowledged."""
    file = root / "acknowledged"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


class _Shim:
    """iofault.c in this process; without a fault it is left alone.

    A fault's ``path`` is below the workspace; ``*.del`` means any path that has ``.del`` in it.
    """

    def __init__(self, fault: dict[str, Any] | None, root: Path) -> None:
        self._fault = fault
        path = "" if fault is None else fault["path"]
        self._below = path[1:] if path.startswith("*") else f"{root}/workspace/{path}"
        self.armed = False

    def arm(self) -> None:
        if self._fault is not None:
            library = ctypes.CDLL(None)
            library.iofault_arm(
                self._below.encode(),
                self._fault["kind"].encode(),
                ctypes.c_long(self._fault["at"]),
            )
            self.armed = True

    def disarm(self) -> None:
        if self.armed:
            ctypes.CDLL(None).iofault_disarm()
            self.armed = False

    def calls(self) -> int:
        if self._fault is None:
            return 0
        function = ctypes.CDLL(None).iofault_calls
        function.restype = ctypes.c_long
        return int(function())


JOBS = {
    job.__name__: job
    for job in (
        work,
        check,
        answers,
        hold,
        write_generations,
        read_beside,
        read_and_write_as_another_user,
        work_with_small_files,
    )
}

if __name__ == "__main__":
    sys.exit("started by forks.py")
