from ctxeng.trace import Recorder, recording, stage


def run(inputs):
    recorder = Recorder("ask", inputs)
    with recording(recorder), stage("retrieve") as facts:
        facts["hits"] = ["a"]
    return recorder.record()


def test_the_id_is_of_the_content_not_of_the_clock():
    assert run({"query": "x"})[0] == run({"query": "x"})[0]
    assert run({"query": "x"})[0] != run({"query": "y"})[0]


def test_a_stage_outside_a_recording_is_harmless():
    with stage("retrieve") as facts:
        facts["hits"] = 1
    assert "seconds" not in facts
