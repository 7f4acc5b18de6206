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

bench:
	for name in loading passages retrieval not_found faults speed; do \
		python -m benchmarks.$$name --json benchmarks/results/$$name.json; done
