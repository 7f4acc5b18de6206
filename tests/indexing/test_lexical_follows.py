"""Whatever happens to the record, the lexical index answers as the record stands.

A machine does at random what users do, beside a dictionary that says what must be found.
"""

import shutil
import tempfile
import uuid
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ctxeng import Document, Scope
from ctxeng.chunking import chunk
from ctxeng.indexing import TantivyIndex, catch_up, catchup, view
from ctxeng.store import open_store
from ctxeng.testing.stores import entry_of
from ctxeng.types import Query

WORDS = ["pump", "seal", "valve", "rotor"]
SCOPES = [Scope(), Scope(tenant="acme")]
ALL = 1_000

scopes = st.sampled_from(SCOPES)
paths = st.sampled_from(["a.md", "b.md", "c.md"])
sections = st.lists(st.sampled_from(WORDS), max_size=4)


class Follows(RuleBasedStateMachine):
    """The model: the documents of each path of each scope."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.model = {}
        self.open()

    def open(self):
        self.store = open_store(self.folder)
        self.index = TantivyIndex(self.folder / "lexical")

    def close(self):
        self.index.close()
        self.store.close()

    def teardown(self):
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(scope=scopes, path=paths, words=sections, team=st.sampled_from(["x", "y"]))
    def write(self, scope, path, words, team):
        """Adds, changes, or leaves as it is; no words: a document without chunks."""
        text = "\n\n".join(f"## {n}\n\nIt says {word}." for n, word in enumerate(words))
        document_id = self.model[scope, path].id if (scope, path) in self.model else f"id of {path}"
        if any(s == scope and d.id == document_id and p != path
               for (s, p), d in self.model.items()):  # fmt: skip
            document_id = f"another {path}"
        document = Document(id=document_id, text=text, format="markdown", metadata={"team": team})
        self.store.put(scope, [entry_of(document, path=path)])
        self.model[scope, path] = document

    @rule(scope=scopes, path=paths)
    def remove(self, scope, path):
        gone = self.model.pop((scope, path), None)
        assert self.store.remove(scope, paths=[path]) == (gone is not None)

    @rule(scope=scopes, path=paths)
    def remove_by_id(self, scope, path):
        if (scope, path) in self.model:
            document = self.model.pop((scope, path))
            assert self.store.remove(scope, document_ids=[document.id]) == 1

    @rule(scope=scopes, path=paths, other=paths)
    def rename(self, scope, path, other):
        if (scope, path) in self.model and (scope, other) not in self.model:
            document = self.model.pop((scope, path))
            self.store.put(scope, [entry_of(document, path=other, renamed_from=path)])
            self.model[scope, other] = document

    @rule()
    def reopen(self):
        self.close()
        self.open()

    @rule(name=st.sampled_from(["chunks/meta.json", "documents/meta.json", "chunks", "documents"]))
    def lose(self, name):
        """Files of the derived index are gone."""
        self.close()
        lost = self.folder / "lexical" / name
        if lost.exists():
            lost.rename(self.folder / f"lost {uuid.uuid4().hex}")
        self.open()

    @rule(window=st.sampled_from([1, 3, 10_000]), verify=st.booleans())
    def ask(self, window, verify):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catchup, "WINDOW", window)
            catch_up(self.store, self.index, verify=verify)
        assert self.index.applied == self.store.last_change()
        for scope in SCOPES:
            expected = {
                piece.id: (document, piece.indexed_text)
                for (of, _), document in self.model.items()
                if of == scope
                for piece in chunk(document)
            }
            for word in WORDS:
                self.finds(scope, word, {}, [k for k, (_, t) in expected.items() if word in t])
            team = [
                k for k, (d, t) in expected.items() if "says" in t and d.metadata["team"] == "x"
            ]
            self.finds(scope, "says", {"team": ("x",)}, team)

    def finds(self, scope, word, where, expected):
        found = self.index.search(Query(text=word, scope=scope, filter=where), ALL)
        assert Counter(match.chunk_id for match in found) == Counter(expected)
        assert self.store.hits(scope, expected).keys() == set(expected)


TestFollows = Follows.TestCase
TestFollows.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)


@pytest.fixture
def workspace(tmp_path):
    store = open_store(tmp_path)
    texts = ["pump and seal", "valve and seal", "rotor"]
    store.put(SCOPES[0], [entry_of(Document(id=str(n), text=t)) for n, t in enumerate(texts)])
    catch_up(store, TantivyIndex(tmp_path / "lexical"))
    yield tmp_path, store
    store.close()


def found(index, word):
    return len(index.search(Query(text=word), ALL))


def test_what_another_analyzer_made_is_made_anew(workspace, monkeypatch):
    folder, store = workspace
    monkeypatch.setattr(view, "ANALYZER", "another")
    index = TantivyIndex(folder / "lexical")
    assert "another analyzer" in index.damage
    assert "another analyzer" in catch_up(store, index).rebuilt
    assert not index.damage
    assert found(index, "seal") == 2
    assert not TantivyIndex(folder / "lexical").damage


def test_what_is_up_to_date_is_left_alone(workspace):
    folder, store = workspace
    before = {f: f.stat().st_mtime_ns for f in (folder / "lexical").rglob("*") if f.is_file()}
    done = catch_up(store, TantivyIndex(folder / "lexical"), verify=True)
    assert (done.changes, done.rebuilt) == (0, "")
    after = {f: f.stat().st_mtime_ns for f in (folder / "lexical").rglob("*") if f.is_file()}
    assert after == before


def test_an_index_of_another_workspace_is_made_anew(workspace, tmp_path):
    """Ahead of the record, or as far and with other rows."""
    folder, _ = workspace
    for texts in (["other pump"], ["other pump", "x", "y"], ["other"] * 2 + ["pump"] * 4):
        own = open_store(None)
        own.put(SCOPES[0], [entry_of(Document(id=f"o{n}", text=t)) for n, t in enumerate(texts)])
        index = TantivyIndex(shutil.copytree(folder / "lexical", tmp_path / str(len(texts))))
        done = catch_up(own, index, verify=True)
        assert done.rebuilt
        assert found(index, "pump") == sum("pump" in text for text in texts)
        assert found(index, "seal") == 0
        own.close()


def test_a_second_process_sees_what_the_first_has_committed(workspace):
    folder, store = workspace
    reader = TantivyIndex(folder / "lexical", read_only=True)
    assert found(reader, "seal") == 2
    store.put(SCOPES[0], [entry_of(Document(id="new", text="one more seal"))])
    catch_up(store, TantivyIndex(folder / "lexical"))
    assert found(reader, "seal") == 3


def test_long_values_are_filtered_by_their_beginning(workspace):
    folder, store = workspace
    value = "v" * 2_000
    store.put(SCOPES[0], [entry_of(Document(id="long", text="gear", metadata={"k": value}))])
    index = TantivyIndex(folder / "lexical")
    catch_up(store, index)
    assert len(index.search(Query(text="gear", filter={"k": (value,)}), 9)) == 1
    assert index.search(Query(text="gear", filter={"k": ("w" + value,)}), 9) == []


def test_two_that_write_in_turns_see_each_others_rows_and_double_none(tmp_path):
    """Both were opened before either wrote, as two processes of one workspace are."""
    store = open_store(tmp_path)
    both = [TantivyIndex(tmp_path / "lexical"), TantivyIndex(tmp_path / "lexical")]
    for turn in range(6):
        text = f"A pump of turn {turn}."
        store.put(SCOPES[0], [entry_of(Document(id=f"d{turn % 4}", text=text))])
        done = catch_up(store, both[turn % 2])
        assert not done.rebuilt
        for index in both:
            found = index.search(Query(text="pump"), ALL)
            assert len(found) == len({match.chunk_id for match in found}) == min(turn + 1, 4)
    for index in both:
        index.close()
    store.close()
