# The few commands that people need. `make` alone runs what CI runs.
.PHONY: all test lint types docs bench

all: lint types test

test:
	pytest

lint:
	ruff check . && ruff format --check .

types:
	mypy

docs:
	python docs/generate_reference.py

# All of them take hours on two cores; one alone: make bench BENCHMARKS=loading
BENCHMARKS = retrieval passages rewriting budget prefix compression compaction loading not_found \
	answers voting cascade faults replay speed generation grounding

bench:
	for name in $(BENCHMARKS); do \
		python -m benchmarks.$$name --json benchmarks/results/$$name.json || exit 1; done
	python -m benchmarks.report
