"""What is indexed beside a chunk."""

from ctxeng import Document
from ctxeng.chunking import chunk
from ctxeng.chunking.prefix import HEAD_CHARACTERS, TOP_TERMS

SENTENCE = "Ordinary filler words stand around {} in sentence {} of this text."


def document(topics, **values):
    text = "\n\n".join(
        " ".join(SENTENCE.format(topic, f"{topic}{n}") for n in range(14)) for topic in topics
    )
    return Document(id="d", text=text, **values)


def test_title_and_headings_come_first():
    text = "# Leave\n\n## Parental\n\nTwenty weeks."
    (piece,) = chunk(Document(id="d", text=text, format="markdown", title="Handbook"))
    assert piece.prefix.split("\n")[0] == "Handbook > Leave > Parental"


def test_the_documents_own_terms_are_those_that_this_chunk_lacks():
    pieces = chunk(document(["zebra", "walrus", "gecko"]))
    for topic in ("zebra", "walrus", "gecko"):
        for piece in pieces:
            listed = piece.prefix.split("\n")[-1].split()
            inside = topic in piece.text.split()
            assert (topic in listed) == (not inside)
            assert len(listed) <= TOP_TERMS


def test_a_word_of_every_chunk_says_nothing_about_where_we_are():
    pieces = chunk(document([f"topic{c}" for c in "abcdefghijklmnop"]))
    for piece in pieces:
        assert not {"filler", "ordinary", "sentence"} & set(piece.prefix.split())


def test_a_document_of_one_chunk_has_no_terms_to_add():
    (piece,) = chunk(Document(id="d", text="Only this. Only this.", title="T"))
    assert piece.prefix == "T"


def test_the_head_of_a_source_file_stands_before_its_later_chunks():
    body = "\n".join(f"def f{n}():\n    return '{SENTENCE.format(n, n)}'" for n in range(60))
    head = "Pays the invoices of every month, and says which."
    first, *others = chunk(
        Document(id="d", text=f'"""{head}"""\n\n{body}', format="code", language="python")
    )
    assert head not in first.prefix
    assert others
    assert all(head in piece.prefix for piece in others)


def test_a_long_head_is_cut():
    text = f"# {'word ' * 500}\n\n" + "\n\n".join(f"x{n} = 1  # {SENTENCE}" for n in range(40))
    for piece in chunk(Document(id="d", text=text, format="code", language="python")):
        assert all(len(line) <= HEAD_CHARACTERS for line in piece.prefix.split("\n"))


def test_it_depends_on_the_document_alone():
    one, other = document(["zebra", "walrus"]), document(["gecko", "walrus"])
    before = [piece.prefix for piece in chunk(one)]
    chunk(other)
    assert [piece.prefix for piece in chunk(one)] == before
