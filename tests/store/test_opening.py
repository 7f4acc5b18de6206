"""What is no workspace, is damaged, or is of a newer version is refused, and left as it is."""

import sqlite3

import pytest

from ctxeng import Scope, WorkspaceError
from ctxeng.store import open_store
from ctxeng.store.schema import VERSION
from ctxeng.store.store import FILE
from ctxeng.testing.stores import entry_of, long_document

SCOPE = Scope()
MODES = pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "to write"])


@pytest.fixture
def workspace(tmp_path):
    store = open_store(tmp_path)
    store.put(SCOPE, [entry_of(long_document(f"d{n}", ["pump", "seal"])) for n in range(50)])
    store.close()
    return tmp_path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@MODES
def test_a_newer_version_is_refused_by_name(workspace, read_only):
    with sqlite3.connect(workspace / FILE) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(WorkspaceError, match=rf"schema {VERSION + 1}.*upgrade ctxeng"):
        open_store(workspace, read_only=read_only)


@MODES
def test_another_programs_file_is_refused_and_left_alone(tmp_path, read_only):
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("CREATE TABLE theirs (a)")
    db.close()
    before = files(tmp_path)
    with pytest.raises(WorkspaceError, match="no workspace of ctxeng"):
        open_store(tmp_path, read_only=read_only)
    assert files(tmp_path)[FILE] == before[FILE]


@MODES
@pytest.mark.parametrize("data", [b"hello, I am no database at all " * 200, b"SQLite format 3\0x"])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path, read_only, data):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(WorkspaceError, match="damaged: .* Nothing was overwritten"):  # noqa: RUF043
        open_store(tmp_path, read_only=read_only)
    assert (tmp_path / FILE).read_bytes() == data


@MODES
def test_a_damaged_file_that_was_left_open_is_found_before_it_is_used(workspace, read_only):
    """A page in the middle is overwritten, and the last writer did not close it."""
    with sqlite3.connect(workspace / FILE) as db:
        db.execute("INSERT INTO meta VALUES ('writing 1 a', 'another start of this machine')")
    db.close()
    file = workspace / FILE
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\x5a" * 4096
    file.write_bytes(data)
    with pytest.raises(WorkspaceError, match="damaged: .* Nothing was overwritten"):  # noqa: RUF043
        open_store(workspace, read_only=read_only)
    assert file.read_bytes() == bytes(data)


def test_damage_that_is_met_later_is_an_error_of_ours(workspace):
    file = workspace / FILE
    data = bytearray(file.read_bytes())
    with sqlite3.connect(file) as db:
        rows = db.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'meta'").fetchall()
    db.close()
    at_once = {page for (page,) in rows} | {1}
    for page in range(2, len(data) // 4096 + 1):
        at = (page - 1) * 4096
        if page not in at_once and b"CREATE " not in data[at : at + 4096]:
            data[at : at + 64] = b"\x5a" * 64
    file.write_bytes(data)
    store = open_store(workspace, read_only=True)
    with pytest.raises(WorkspaceError, match="damaged"):
        store.counts(SCOPE)
        store.document_ids(SCOPE)
        store.changes(0, 1_000)
        store.neighbours(SCOPE, "d1", 0, 9)
    store.close()


def test_a_file_without_our_tables_is_an_error_of_ours(workspace):
    with sqlite3.connect(workspace / FILE) as db:
        db.execute("DROP TABLE trace")
    db.close()
    store = open_store(workspace)
    with pytest.raises(WorkspaceError, match="no such table: trace"):
        store.trace(SCOPE, "x")
    store.close()


def test_read_only_reads_and_never_writes(workspace):
    before = (workspace / FILE).read_bytes()
    store = open_store(workspace, read_only=True)
    assert store.counts(SCOPE).documents == 50
    assert store.check() == "ok"
    for write in (
        lambda: store.put(SCOPE, [entry_of(long_document("new", ["pump"]))]),
        lambda: store.set_meta("key", "value"),
        lambda: store.remove(SCOPE, document_ids=["d1"]),
    ):
        with pytest.raises(WorkspaceError, match="read"):
            write()
    store.close()
    assert (workspace / FILE).read_bytes() == before


def test_read_only_makes_nothing(tmp_path):
    with pytest.raises(WorkspaceError, match="ctxeng index PATH"):
        open_store(tmp_path / "w", read_only=True)
    assert not (tmp_path / "w").exists()
    (tmp_path / FILE).touch()
    with pytest.raises(WorkspaceError, match="no workspace"):
        open_store(tmp_path, read_only=True)


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        open_store(tmp_path / "file" / "w")


def test_what_is_whole_though_it_was_left_open_is_checked_once(workspace):
    with sqlite3.connect(workspace / FILE) as db:
        db.execute("INSERT INTO meta VALUES ('writing 1 a', 'another start of this machine')")
    db.close()
    for left_open in (True, False):
        store = open_store(workspace)
        assert store.left_open is left_open
        store.close()


def test_a_store_that_was_closed_is_not_checked_again(workspace):
    """Nor what another one has open and writes: reading all of it takes long."""
    store = open_store(workspace)
    store.put(SCOPE, [entry_of(long_document("new", ["pump"]))])
    beside = open_store(workspace)
    store.close()
    behind = open_store(workspace)
    assert [opened.left_open for opened in (store, beside, behind)] == [False] * 3
    beside.close()
    behind.close()


def test_deleted_text_leaves_no_bytes_behind(tmp_path):
    """``secure_delete``: what was removed cannot be read out of the file."""
    store = open_store(tmp_path)
    store.put(SCOPE, [entry_of(long_document("d", ["xylophone-secret"]))])
    store.remove(SCOPE, document_ids=["d"])
    store.close()
    assert all(b"xylophone-secret" not in data for data in files(tmp_path).values())


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("UPDATE document SET record = replace(record, '\"id\"', '\"ie\"')", "document"),
        ("UPDATE document SET record = replace(record, '\"id\"', '\"ie\"')", "neighbours"),
        ("UPDATE document SET record = '{'", "neighbours"),
        ("UPDATE document SET text = CAST(x'ff' AS TEXT)", "document"),
        ("UPDATE chunk SET heading_path = '['", "neighbours"),
        ("UPDATE chunk SET heading_path = 'x'", "missing"),
        ("UPDATE chunk SET defines = '7x'", "changes"),
    ],
)
def test_rows_that_no_value_can_be_made_of_are_told_as_damage(workspace, damage, read):
    """A bit of a text can flip without SQLite seeing it."""
    with sqlite3.connect(workspace / FILE) as db:
        db.execute(damage)
    db.close()
    store = open_store(workspace)
    reads = {
        "document": lambda: store.document(SCOPE, "d1"),
        "neighbours": lambda: store.neighbours(SCOPE, "d1", 0, 9),
        "missing": lambda: store.missing_vectors("m", 9),
        "changes": lambda: store.changes(0, 1_000),
    }
    with pytest.raises(WorkspaceError, match=r"damaged: a (row|text) .*Nothing was overwritten"):
        reads[read]()
    store.close()
