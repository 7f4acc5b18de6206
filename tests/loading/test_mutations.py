"""Valid files, changed at random, also inside their containers: documents or LoadError, soon."""

import io
import time
import zipfile

import pytest
from family_samples import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from made_by_hand import zipped

from ctxeng.errors import LoadError
from ctxeng.loading import load_source
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

JUNK = st.sampled_from(
    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"<", b">", b"{", b"}", b"\\", b'"',
     b"99999999999", b"-1", b"\n", b"&", b"|"]
) | st.binary(max_size=6)  # fmt: skip
CHANGE = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 30), JUNK)
CHANGES = st.lists(CHANGE, min_size=1, max_size=5)


def changed(data, changes):
    """Each change: where, how many bytes go, and what comes in their place."""
    out = bytearray(data)
    for place, length, junk in changes:
        at = int(place * len(out))
        out[at : at + length] = junk
    return bytes(out)


def check(data, uri):
    began = time.process_time()
    documents, error = load_source(data, uri, settings=LoadingSettings(archives=True))
    assert time.process_time() - began < 3
    assert documents or error is not None
    if error is not None:
        assert isinstance(error, LoadError)
        assert (error.uri, bool(error.why), bool(error.hint)) == (uri, True, True)
    for document in documents:
        assert isinstance(document, Document)
        document.text.encode("utf-8", "surrogatepass")
        for part in document.parts:
            assert part.span.end <= len(document.text)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.uri)
def test_changed_files_are_read_or_refused(sample):
    @settings(max_examples=25, deadline=None)
    @given(CHANGES)
    def law(changes):
        check(changed(sample.data, changes), sample.uri)

    law()


ZIPPED = [sample for sample in SAMPLES if sample.data.startswith(b"PK")]


@pytest.mark.parametrize("sample", ZIPPED, ids=lambda sample: sample.uri)
def test_files_with_a_changed_part_are_read_or_refused(sample):
    with zipfile.ZipFile(io.BytesIO(sample.data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(sorted(parts)), CHANGES, st.booleans())
    def law(name, changes, keep):
        some = {**parts, name: changed(parts[name], changes)}
        if not keep:
            del some[name]
        check(zipped(some), sample.uri)

    law()
