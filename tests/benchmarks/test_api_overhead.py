"""The overhead of API calls is measured on replies that both clients read whole."""

import anyio

from benchmarks.api_overhead import _flood, _in_turns, serving


def test_both_clients_are_measured_on_the_same_replies():
    with serving() as address:
        times = anyio.run(_in_turns, f"{address}/0.0/v1", 3)
        assert set(times) == {"bare httpx", "ctxeng"}
        assert all(len(values) == 3 and (values > 0).all() for values in times.values())
        rows = {row["metric"]: row["value"] for row in _flood("ctxeng", f"{address}/0.0/v1")}
    assert 0 <= rows["peak memory beyond one stream, MB"] < 100
    assert rows["CPU ms a stream"] > 0
