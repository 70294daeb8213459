# `make demo` and `make test` need Python 3.11 or newer and nothing else: they keep their own .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test sanitize docs lint format clean

demo: $(STAMP)  ## landmarks on a real face: demo/ holds the picture, the table and report.html
	$(BIN)/jaxclnf demo

test: $(STAMP)  ## the whole test suite, on two processes
	$(BIN)/pytest -n 2 --dist worksteal

sanitize: $(STAMP)  ## 16,000 calls of the C code under address and undefined-behaviour sanitizers, 1,000 under that of threads
	JAXCLNF_FUZZ_CALLS=16000 $(BIN)/pytest -n 2 tests/native/test_sanitizers.py

docs: $(STAMP).docs  ## the site of all pages and the API reference, in .cache/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .cache demo

$(STAMP): pyproject.toml hatch_build.py $(wildcard jaxclnf/native/*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(STAMP).docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@
