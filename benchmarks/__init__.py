"""Each file asks one question of ctxeng and of what a user would pick instead.

    python -m benchmarks.NAME [--data DIR] [--json FILE] [--quick]

``data`` reads the sets, ``compare`` scores runs with intervals, ``peers`` keeps the other
libraries in environments of their own.
"""
