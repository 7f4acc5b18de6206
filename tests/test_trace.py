from ctxeng.text.secrets import Redactor
from ctxeng.trace import Recorder, keep, recording, stage
from ctxeng.trace.record import Surroundings, written
from ctxeng.types import Hit


def run(inputs):
    recorder = Recorder("ask", inputs)
    with recording(recorder), stage("retrieve") as facts:
        facts["hits"] = ["a"]
    return written(recorder, Surroundings(), Redactor())


def test_the_id_is_of_the_content_not_of_the_clock():
    one, other = run({"query": "x"}), run({"query": "x"})
    assert one.id == other.id
    assert one.payload != other.payload  # its second line has the times
    assert run({"query": "y"}).id != one.id


def test_the_id_does_not_depend_on_which_of_two_stages_ends_first():
    ids = set()
    for order in (("a", "b"), ("b", "a")):
        recorder = Recorder("ask", {})
        with recording(recorder):
            for name in order:
                with stage(name):
                    pass
        ids.add(written(recorder, Surroundings(), Redactor()).id)
    assert len(ids) == 1


def test_a_stage_outside_a_recording_is_harmless():
    with stage("retrieve") as facts:
        facts["hits"] = 1
    keep(hits=[])
    assert "seconds" not in facts


def test_the_last_thing_that_is_handed_over_counts():
    recorder = Recorder("ask", {})
    hit = Hit(id="a", text="", tokens=0, score=1.0)
    with recording(recorder):
        keep(hits=[hit])
        keep()
        assert recorder.hits == [hit]
        keep(hits=[])
    assert recorder.hits == []
