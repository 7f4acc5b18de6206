import gzip
import json

import pytest

from benchmarks.data import (
    Passage,
    Row,
    data_folder,
    print_table,
    read_chunking_set,
    read_retrieval_set,
    read_retrieval_sets,
    write_rows,
)
from benchmarks.given_chunks import GivenChunker, document_of

SOURCE = "/// Adds.\nfn add(a: i32) -> i32 {\n    a + 1\n}\n\nstruct Lamp {\n    on: bool,\n}\n"


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def sets(tmp_path):
    """One retrieval set that comes with its files, and one chunking set."""
    folder = tmp_path / "lamps"
    folder.mkdir()
    corpus = [{"id": "f:0", "text": SOURCE[:46]}, {"id": "f:1", "title": "t", "text": SOURCE[47:]}]
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(jsonl(*corpus).encode()))
    (folder / "files.jsonl").write_text(jsonl({"id": "f", "path": "/src/lamp.rs", "text": SOURCE}))
    queries = [{"id": "q2", "text": "lamp?"}, {"id": "q1", "text": "add?"}, {"id": "x", "text": ""}]
    (folder / "queries.jsonl").write_text(jsonl(*queries))
    (folder / "qrels.tsv").write_text("q1\tf:0\t1\nq2\tf:1\t2\n")
    chunking = tmp_path / "speeches"
    (chunking / "documents").mkdir(parents=True)
    (chunking / "documents" / "one.md").write_bytes(b"a line\r\nand more")
    reference = {"start_index": 8, "end_index": 16, "content": "and more"}
    question = {"question": "what?", "references": [reference], "corpus_id": "one"}
    (chunking / "questions.jsonl").write_text(jsonl(question))
    return tmp_path


def test_a_retrieval_set_has_the_judged_queries_and_the_whole_corpus(sets):
    (found,) = read_retrieval_sets(sets)
    assert found.name == "lamps"
    assert found.corpus[0] == Passage("f:0", "", SOURCE[:46])
    assert found.corpus[1].whole.startswith("t\n")
    assert found.queries == {"q2": "lamp?", "q1": "add?"}
    assert found.qrels == {"q1": {"f:0": 1}, "q2": {"f:1": 2}}
    few = read_retrieval_set(sets / "lamps", limit=1)
    assert list(few.queries) == list(few.qrels) == ["q2"]
    assert len(few.corpus) == 2


def test_references_point_into_their_documents(sets):
    found = read_chunking_set(sets / "speeches")
    (question,) = found.questions
    (reference,) = question.references
    text = found.documents[question.document_id]
    assert text[reference.start : reference.end] == reference.text


def test_an_absent_folder_is_named_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="--data DIR"):
        data_folder(tmp_path / "absent")
    monkeypatch.setenv("CTXENG_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    with pytest.raises(SystemExit, match="no set in retrieval form"):
        list(read_retrieval_sets(tmp_path))


def test_rows_are_one_json_array_and_a_table_per_set(tmp_path, capsys):
    row = Row(system="ours", set="lamps", metric="nDCG@10", value=0.5, low=0.4, high=0.6)
    write_rows([row], tmp_path / "new" / "rows.json")
    assert json.loads((tmp_path / "new" / "rows.json").read_text()) == [row]
    print_table([row])
    assert "0.500 [0.400, 0.600]" in capsys.readouterr().out


def test_given_chunks_keep_the_borders_and_ids_of_the_set(sets):
    task = read_retrieval_set(sets / "lamps")
    document = document_of(task.files[0])
    chunks = GivenChunker(task).chunk(document)
    assert [chunk.id for chunk in chunks] == ["f:0", "f:1"]
    for chunk in chunks:
        assert document.text[chunk.span.start : chunk.span.end] == chunk.text
    assert [chunk.line for chunk in chunks] == [1, 6]
    assert [chunk.defines for chunk in chunks] == [("add",), ("lamp",)]
