"""What a run saw is rebuilt to the byte, whatever has happened to the workspace since."""

import dataclasses
import json
import logging
import sqlite3
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng import (
    BackendError,
    BudgetError,
    ConfigError,
    Context,
    Document,
    Engine,
    Scope,
    Settings,
    WorkspaceError,
)
from ctxeng.protocols import TraceRecord
from ctxeng.replay import replay
from ctxeng.settings import EmbeddingSettings, TraceSettings
from ctxeng.store.store import FILE
from ctxeng.text.secrets import REDACTED, Redactor
from ctxeng.trace import Recorder
from ctxeng.trace.record import FORMAT, Surroundings, read, read_summary, written
from ctxeng.types import Hit, sha256

QUESTION = "How long is parental leave?"
SECRET = "sk-proj-abcdefghijklmnop1234"
TIMEOUT = 60


def settings(**trace):
    return Settings(embedding=EmbeddingSettings(model="static"), trace=TraceSettings(**trace))


def opened(folder=":memory:", scope=None, **trace):
    return Engine.open(folder, settings=settings(**trace), scope=scope)


def documents():
    facts = ["Parental leave is 20 weeks, fully paid.", "Pay day is the 25th.", "Desks are shared."]
    return [
        Document(
            id=f"d{number}",
            text=f"# Rules {number}\n\n{fact}\n\nAsk person {number} about it. It was last changed "
            f"in {2000 + number}. The office in city {number} keeps the paper.",
            format="markdown",
            metadata={"$text": "a key like ours", "year": 2000 + number},
        )
        for number, fact in enumerate(facts * 4)
    ]


# -- the same bytes


def test_a_run_is_replayed_after_a_restart_growth_change_and_removal(tmp_path):
    with opened(tmp_path) as engine:
        engine.index(documents())
        saw = {}
        for budget in (120, 300, 900):
            for question in (QUESTION, "When is pay day?", "x" * 200):
                context = engine.context(question, budget=budget)
                saw[engine.traces(limit=1)[0].id] = context
        answer = engine.ask(QUESTION)
        saw[answer.trace_id] = answer.context
    with opened(tmp_path) as engine:
        engine.index([Document(id=f"new{n}", text=f"Leave number {n} is new.") for n in range(30)])
        engine.index([Document(id="d0", text="Parental leave is 9 weeks now.")])
        engine.remove(*(f"d{number}" for number in range(1, 12)))
        assert engine.context(QUESTION, budget=900).render() not in [
            c.render() for c in saw.values()
        ]
        assert len(saw) == 10
        for trace_id, context in saw.items():
            assert engine.replay(trace_id) == context
            assert engine.replay(trace_id).render() == context.render()


def test_a_trace_says_what_was_asked_found_and_decided():
    with opened() as engine:
        engine.index(documents())
        answer = engine.ask(QUESTION, budget=400, filter={"year": [2000, 2003, 2004]})
        hits = engine.search(QUESTION, limit=100, filter={"year": [2000, 2003, 2004]})
        trace = engine.trace(answer.trace_id)
    assert (trace.verb, trace.format, trace.error, trace.redacted) == ("ask", FORMAT, "", 0)
    assert trace.inputs == {
        "query": QUESTION,
        "budget": 400,
        "filter": {"year": ["2000", "2003", "2004"]},
        "mode": "hybrid",
        "model": "extractive",
    }
    assert trace.settings == settings().model_dump(mode="json")
    assert trace.versions["tokenizer"] == answer.context.tokenizer
    assert trace.versions["embedder"].startswith("wordllama")
    assert [one.id for one in trace.candidates] == [hit.id for hit in hits]
    for one, hit in zip(trace.candidates, hits, strict=True):
        assert one.score == pytest.approx(hit.score, abs=1e-6)
        assert one.stages == pytest.approx(hit.stages, abs=1e-6)
    assert {document.uri for document in trace.documents.values()} == {"d0", "d3", "d4"}
    assert trace.prompt == sha256(answer.context.render())
    assert trace.answer["text"] == answer.text
    assert trace.answer["claims"] == [claim.model_dump(mode="json") for claim in answer.claims]
    assert trace.usage == answer.usage
    names = [facts["stage"] for facts in trace.stages]
    assert names.index("retrieve") < names.index("assemble") < names.index("generate")
    assert all(facts["seconds"] >= 0 for facts in trace.stages)
    assert trace.seconds >= max(facts["seconds"] for facts in trace.stages)


@pytest.mark.parametrize("query", ["leave \ud800?", "\x00leave\x1b[31m", "", "👩‍👩‍👧 leave " * 40])
def test_odd_questions_are_recorded_and_replayed(query):
    with opened() as engine:
        engine.index(documents())
        context = engine.context(query)
        answer = engine.ask(query, filter={"title": "\ud800"})
        last, first = engine.traces()
        assert engine.replay(first.id) == context
        assert engine.replay(last.id) == answer.context


def test_equal_runs_are_one_trace_and_other_ones_are_not():
    with opened() as engine:
        engine.index(documents())
        first = [engine.ask(QUESTION).trace_id for _ in range(3)]
        other = [engine.ask(QUESTION, budget=300).trace_id, engine.ask("When is pay day?").trace_id]
        engine.index([Document(id="new", text="Parental leave is new.")])
        later = engine.ask(QUESTION).trace_id
        runs = {run.id: run.runs for run in engine.traces()}
    assert len({*first}) == 1
    assert runs == {first[0]: 3, other[0]: 1, other[1]: 1, later: 1}


@given(
    query=st.text(max_size=200),
    inputs=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=150)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.one_of(st.sampled_from(["$text", "$$text", "$"]), st.text(max_size=5)),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=12,
    ),
)
def test_any_value_comes_back_from_its_record(query, inputs):
    recorder = Recorder("context", {"query": query, "any": inputs})
    recorder.hits = [Hit(id="a", text="t", tokens=1, score=0.1 + 0.2, stages={"$text": 0.25})]
    record = written(recorder, Surroundings(), Redactor())
    trace = read(record)
    assert trace.inputs == {"query": query, "any": inputs}
    assert trace.candidates[0].stages == {"$text": 0.25}
    assert read_summary(record).query[:99] == query[:99]


# -- keys are left out


def test_keys_are_in_no_part_of_a_record(tmp_path, monkeypatch):
    """Of a question, of documents, of settings, of the environment; the answer has them."""
    monkeypatch.setenv("SOME_API_KEY", "known-value-of-a-key")
    monkeypatch.setenv("OTHERS", "another-known-value")
    held = f"The key of parental leave is {SECRET} and known-value-of-a-key."
    embedding = EmbeddingSettings(model="static", base_url="http://bob:pass-word@host/v1",
                                  key_env="OTHERS")  # fmt: skip
    with Engine.open(tmp_path, settings=Settings(embedding=embedding)) as engine:
        engine.index([Document(id="keys", text=held)])
        query = f"What is the key {SECRET} or another-known-value of parental leave?"
        answer = engine.ask(query)
        assert SECRET in answer.context.render()
        trace = engine.trace(answer.trace_id)
        replayed = engine.replay(answer.trace_id)
        shown = json.dumps(trace.model_dump(mode="json")) + str(engine.traces())
        rows = engine._parts.store.traces(Scope())
        whole = engine._parts.store.trace(Scope(), answer.trace_id)
    shown += whole.payload + "".join(whole.texts.values()) + rows[0].summary
    for secret in (SECRET, "known-value-of-a-key", "another-known-value", "bob:pass-word"):
        assert secret not in shown
    assert trace.redacted >= 4
    assert trace.prompt == sha256(answer.context.render())
    expected = answer.context.render()
    for secret in (SECRET, "known-value-of-a-key", "another-known-value"):
        expected = expected.replace(secret, REDACTED)
    assert replayed.render() == expected


def test_the_words_that_no_source_has_are_none_of_a_key():
    keys = ["hunter22secret", "pa55word-of-mine", "abcdefghijklmnop1234"]
    asked = 'Zanzibar password="hunter22secret" db://bob:pa55word-of-mine@db/x sk-{}'
    with opened() as engine:
        engine.index([Document(id="a", text="Parental leave is 20 weeks.")])
        answer = engine.ask(asked.format(keys[2]))
        trace = engine.trace(answer.trace_id).model_dump_json()
    assert "Zanzibar" in answer.text
    assert not any(key[:8] in answer.text + trace for key in keys)


# -- what is kept, and for how long


def test_only_so_many_runs_are_kept(tmp_path):
    with opened(tmp_path, keep_runs=3) as engine:
        engine.index(documents())
        ids = [engine.ask(f"Who is person {number}?").trace_id for number in range(6)]
        assert [run.id for run in engine.traces()] == ids[:2:-1]
        assert engine.replay(ids[5])
        with pytest.raises(ConfigError, match="or no longer"):
            engine.trace(ids[0])
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        orphans = "SELECT count(*) FROM text WHERE row NOT IN (SELECT text FROM trace_text)"
        assert db.execute(orphans).fetchone() == (0,)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_old_runs_go_with_the_next_one(tmp_path):
    with opened(tmp_path) as engine:
        engine.index(documents())
        old, new = engine.ask(QUESTION).trace_id, engine.ask("When is pay day?").trace_id
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("UPDATE trace SET time = '2020-01-01T00:00:00+00:00' WHERE id = ?", (old,))
        db.commit()
    with opened(tmp_path, keep_days=30) as engine:
        newest = engine.ask("Who shares desks?").trace_id
        assert [run.id for run in engine.traces()] == [newest, new]


def test_nothing_is_kept_where_traces_are_off_or_the_workspace_is_read_only(tmp_path):
    with opened(tmp_path, enabled=False) as engine:
        engine.index(documents())
        assert engine.ask(QUESTION).trace_id == ""
        engine.context(QUESTION)
        assert engine.traces() == []
    with Engine.open(tmp_path, settings=settings(), read_only=True) as engine:
        assert engine.ask(QUESTION).trace_id == ""
        assert engine.traces() == []


def test_search_is_not_recorded():
    with opened() as engine:
        engine.index(documents())
        engine.search(QUESTION)
        assert engine.traces() == []


def test_runs_are_forgotten_when_asked_to():
    with opened() as engine:
        engine.index(documents())
        ids = [engine.ask(f"Who is person {number}?").trace_id for number in range(4)]
        assert engine.remove_traces(ids[0], ids[1][:10]) == 2
        assert [run.id for run in engine.traces()] == [ids[3], ids[2]]
        assert engine.remove_traces() == 2
        assert engine.traces() == []


def test_runs_of_another_scope_are_not_seen(tmp_path):
    ours, theirs = Scope(), Scope(user="other")
    with opened(tmp_path, scope=ours) as engine:
        engine.index(Document(id="d", text="Parental leave is ours.", scope=ours))
        mine = engine.ask(QUESTION).trace_id
    with opened(tmp_path, scope=theirs) as engine:
        engine.ask(QUESTION)
        assert len(engine.traces()) == 1
        with pytest.raises(ConfigError, match="there is none here"):
            engine.replay(mine)
        assert engine.remove_traces() == 1
    with opened(tmp_path, scope=ours) as engine:
        assert "ours" in engine.replay(mine).render()


# -- a record that cannot be made or written


def test_a_run_that_cannot_be_recorded_has_its_answer_all_the_same(tmp_path, caplog, monkeypatch):
    with opened(tmp_path) as engine:
        engine.index(documents())
        expected = engine.context(QUESTION)
        with caplog.at_level(logging.WARNING):
            monkeypatch.setattr("ctxeng.engine.runs.written", lambda *_: 1 / 0)
            assert engine.context(QUESTION) == expected
            assert engine.ask(QUESTION).trace_id == ""
            assert "this run was not recorded: ZeroDivisionError" in caplog.text
            monkeypatch.undo()
            monkeypatch.setattr(engine._parts.store, "last_change", lambda: 1 / 0)
            assert engine.context(QUESTION) == expected
            monkeypatch.undo()
            with closing(sqlite3.connect(tmp_path / FILE)) as db:
                db.execute("DROP TABLE trace_text")
            assert engine.context(QUESTION) == expected
            assert "a run was not recorded" in caplog.text


def test_while_another_process_writes_runs_wait_in_memory(tmp_path):
    """And nobody waits for them; they are written with the next run, or by closing."""
    with opened(tmp_path) as engine:
        engine.index(documents())
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ids = [engine.ask(f"Who is person {number}?").trace_id for number in range(3)]
            assert all(ids)
            other.execute("ROLLBACK")
        assert [run.id for run in engine.traces()] == ids[::-1]
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            last = engine.ask(QUESTION).trace_id
            other.execute("ROLLBACK")
    with opened(tmp_path) as engine:
        assert [run.id for run in engine.traces()] == [last, *ids[::-1]]


def test_a_run_that_fails_is_recorded_with_its_error():
    class Broken:
        name = "broken"

        def __init__(self, counter):
            self.counter = counter

        async def stream(self, messages, options):
            raise BackendError("the model is gone", kind="unavailable")
            yield

    with opened() as engine:
        engine.index(documents())
        engine._parts.generator = Broken(engine._parts.counter)
        with pytest.raises(BackendError):
            engine.ask(QUESTION)
        trace = engine.trace("last")
        assert trace.error == "BackendError: the model is gone"
        assert QUESTION in engine.replay("last").render()
        with pytest.raises(BudgetError):
            engine.context(QUESTION, budget=3)
        assert engine.trace("last").error.startswith("BudgetError")
        with pytest.raises(WorkspaceError, match=r"built no prompt.*BudgetError"):
            engine.replay("last")


def test_many_threads_record_without_loss(tmp_path):
    with opened(tmp_path) as engine:
        engine.index(documents())
        ids = []

        def ask(worker):
            for number in range(5):
                ids.append(engine.ask(f"Who is person {number} of {worker}?").trace_id)

        threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        assert {run.id for run in engine.traces()} == set(ids)
        assert len(ids) == 20
        assert all(engine.replay(trace_id) for trace_id in ids)


# -- ids


def test_an_id_may_be_abbreviated_while_it_is_one_runs_alone():
    with opened() as engine:
        engine.index(documents())
        trace_id = engine.ask(QUESTION).trace_id
        assert engine.trace(trace_id[:4]).id == engine.trace(trace_id[:9].upper()).id == trace_id
        assert engine.trace("last").id == trace_id
        store, scope = engine._parts.store, engine._parts.scope
        record = store.trace(scope, trace_id)
        twin = trace_id[:6] + "0" * 26
        store.put_trace(scope, dataclasses.replace(record, id=twin))
        with pytest.raises(ConfigError, match=f"several begin so.*{twin}"):
            engine.trace(trace_id[:6])
        for unknown in ("ffff" * 8, "%", "", "abc", "last "):
            with pytest.raises(ConfigError, match="trace"):
                engine.trace(unknown)


def test_last_needs_a_run():
    with opened() as engine, pytest.raises(ConfigError, match="there is none"):
        engine.replay("last")


# -- records that are damaged or of another version


@pytest.fixture(scope="module")
def record():
    with opened() as engine:
        engine.index(documents())
        trace_id = engine.ask(QUESTION).trace_id
        return engine._parts.store.trace(engine._parts.scope, trace_id)


def altered(record, change):
    """A record whose content is changed, under the id that it then has."""
    first, _, second = record.payload.partition("\n")
    content = change(json.loads(first))
    line = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return dataclasses.replace(record, id=sha256(line)[:32], payload=f"{line}\n{second}")


def test_the_record_is_whole(record):
    assert isinstance(replay(read(record)), Context)
    same = altered(record, lambda content: content)
    assert same == record


def test_an_altered_content_is_told_by_its_id(record):
    payload = record.payload.replace("hybrid", "hybrit")
    with pytest.raises(WorkspaceError, match="does not have the hash that its id names"):
        read(dataclasses.replace(record, payload=payload))


def test_a_missing_or_altered_text_is_told_by_its_hash(record):
    digest = next(iter(record.texts))
    missing = {key: text for key, text in record.texts.items() if key != digest}
    with pytest.raises(WorkspaceError, match=f"text {digest[:12]} is missing"):
        read(dataclasses.replace(record, texts=missing))
    with pytest.raises(WorkspaceError, match=f"text {digest[:12]} has been altered"):
        read(dataclasses.replace(record, texts={**record.texts, digest: "other"}))


def test_a_prompt_that_is_not_the_recorded_one_is_not_handed_out(record):
    def other_prompt(content):
        return {**content, "prompt": sha256("other")}

    with pytest.raises(WorkspaceError, match="prompt does not have the hash"):
        replay(read(altered(record, other_prompt)))


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]\n{}", "null\n{}", "7", '{"format":2}\n', '{"format":"x"}\n{}', "\x00", '"x"\n{}'],
)
def test_what_is_no_record_is_an_error_of_ours(record, payload):
    broken = TraceRecord(
        id=sha256(payload.partition("\n")[0])[:32],
        verb="ask",
        time=record.time,
        summary="{}",
        payload=payload,
    )
    with pytest.raises(WorkspaceError, match=r"damaged.*trace remove"):
        read(broken)


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_byte_that_is_changed_anywhere_is_told_or_was_a_time(record, at, byte):
    data = bytearray(record.payload.encode())
    data[at % len(data)] = byte
    changed = dataclasses.replace(record, payload=data.decode("utf-8", "replace"))
    try:
        trace = read(changed)
    except WorkspaceError:
        return
    assert replay(trace) == replay(read(record))


def test_a_newer_format_asks_for_an_upgrade(record):
    with pytest.raises(WorkspaceError, match=r"newer ctxeng.*upgrade ctxeng"):
        read(altered(record, lambda content: {**content, "format": FORMAT + 1}))


def test_a_context_with_fields_of_another_version_says_which_version(record):
    def with_a_field(content):
        return {**content, "version": "9.9", "context": {**content["context"], "more": 1}}

    with pytest.raises(WorkspaceError, match=r"ctxeng 9\.9, whose contexts had other fields"):
        replay(read(altered(record, with_a_field)))


def test_damage_in_the_file_is_told_and_other_runs_stay(tmp_path):
    with opened(tmp_path) as engine:
        engine.index(documents())
        bad, good = engine.ask(QUESTION).trace_id, engine.ask("When is pay day?").trace_id
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("UPDATE trace SET payload = substr(payload, 1, 40) WHERE id = ?", (bad,))
        db.commit()
    with opened(tmp_path) as engine:
        with pytest.raises(WorkspaceError, match=r"damaged.*trace remove"):
            engine.replay(bad)
        assert engine.replay(good)
        assert len(engine.traces()) == 2
        assert engine.remove_traces(bad) == 1
