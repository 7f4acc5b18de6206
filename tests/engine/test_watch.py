"""A watched folder and its workspace stay in step."""

import anyio
import pytest

from ctxeng import Engine, LoadError, Settings, WorkspaceBusyError
from ctxeng.engine.watch import watch
from ctxeng.settings import EmbeddingSettings
from ctxeng.store import writer_lock

FAST = Settings(embedding=EmbeddingSettings(model="static"))
SECONDS = 60


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nThe first note is about apples.\n")
    return folder


def follow(engine, folder, steps, **options):
    """Run ``steps`` one after the other, each when the report of the one before has come."""

    async def main():
        stop = anyio.Event()
        reports = []
        waiting = list(steps)
        with anyio.fail_after(SECONDS):
            async for report in watch(engine, [folder], stop=stop, fast=True, **options):
                reports.append(report)
                if not waiting:
                    stop.set()
                    continue
                waiting.pop(0)()
        return reports

    return anyio.run(main)


def test_what_is_written_renamed_and_deleted_is_followed(tmp_path, folder):
    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:
        first, second, third, fourth = follow(
            engine,
            folder,
            [
                lambda: (folder / "two.md").write_text("# Two\n\nThe second is about pears.\n"),
                lambda: (folder / "two.md").rename(folder / "three.md"),
                (folder / "one.md").unlink,
            ],
        )
        assert (first.added, second.added, third.renamed, fourth.removed) == (1, 1, 1, 1)
        assert [hit.uri for hit in engine.search("pears", mode="lexical")] == [
            (folder / "three.md").as_posix()
        ]


def test_a_change_during_the_first_run_is_not_missed(tmp_path, folder):
    changed = []

    def during_the_run(progress):
        if not changed:
            changed.append((folder / "late.md").write_text("# Late\n\nLate comes the plum.\n"))

    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:
        first, second = follow(engine, folder, [lambda: None], on_progress=during_the_run)
        assert first.added + second.added == 2
        assert engine.search("plum", mode="lexical")


def test_our_own_writes_wake_nobody(tmp_path, folder):
    """With the workspace inside the watched folder, each run would otherwise cause the next."""
    with Engine.open(folder / ".ctxeng", settings=FAST) as engine:

        async def main():
            reports = []
            with anyio.move_on_after(2) as window:
                async for report in watch(engine, [folder], fast=True):
                    reports.append(report)
            assert window.cancelled_caught
            return reports

        assert len(anyio.run(main)) == 1


class Noticing:
    """An engine that tells when it was refused."""

    def __init__(self, engine):
        self.engine, self.refused = engine, anyio.Event()
        self.astatus = engine.astatus

    async def aindex(self, *arguments, **options):
        try:
            return await self.engine.aindex(*arguments, **options)
        except WorkspaceBusyError:
            self.refused.set()
            raise


def test_while_another_process_writes_the_run_waits_for_its_turn(tmp_path, folder):
    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:

        async def main():
            stop, reports, noticing = anyio.Event(), [], Noticing(engine)

            async def follow():
                async for report in watch(noticing, [folder], fast=True, stop=stop):
                    reports.append(report)
                    stop.set()

            with anyio.fail_after(SECONDS):
                async with anyio.create_task_group() as group:
                    with writer_lock(tmp_path / "workspace", wait=False):
                        group.start_soon(follow)
                        await noticing.refused.wait()
            return reports

        (report,) = anyio.run(main)
        assert report.added == 1


def test_a_missing_folder_is_an_error(tmp_path):
    with (
        Engine.open(tmp_path / "workspace", settings=FAST) as engine,
        pytest.raises(LoadError, match="no such file"),
    ):
        follow(engine, tmp_path / "nowhere", [])
