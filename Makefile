# Two commands matter on a fresh machine: `make quickstart` and `make test`. Each sets up all it needs.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export OMP_NUM_THREADS ?= 1
# How long a thread of torch spins before it sleeps. By default so long that, beside other work, two are slower than one.
export GOMP_SPINCOUNT ?= 20000

.PHONY: install vllm-env http-loop quickstart test test-fast test-real lint readme student data corpus teacher clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=23.2"
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(STAMP)

# The main job: the whole loop on a real tiny student, in minutes on two cores. Run again, it goes on or shows the result.
quickstart: install
	$(BIN)/remedial run -c examples/quickstart/config.yaml --output-dir runs/quickstart

# The same loop over HTTP: student and a small neural teacher behind two real vLLM servers, adapters loaded by name.
http-loop: install vllm-env
	$(BIN)/python examples/http_loop/run.py

# The servers' environment is downloaded beside the fast tests.
test: install lint
	$(MAKE) --no-print-directory -j2 test-fast vllm-env
	$(MAKE) --no-print-directory test-real readme

test-fast: install
	$(BIN)/pytest -m "not real" -n 2 --dist worksteal

# vLLM's server on processors, for the tests that talk to a real one: an environment of its own, 3.5 GB.
vllm-env:
	$(PYTHON) tests/servers/install_vllm.py

test-real: install vllm-env
	$(BIN)/pytest -m real --durations=10

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The README's commands and names, checked against the program.
readme: install
	$(BIN)/python tests/check_readme.py

# Rebuild the quickstart's data and its student from scratch (about half an hour on one core).
data: install
	$(BIN)/python examples/quickstart/make_data.py

student: data
	$(BIN)/remedial pretrain -c examples/quickstart/pretrain.yaml --output-dir examples/quickstart/student

# The corpus that the arm retrieval of examples/compare searches, and noisy text for the arm web.
corpus: install
	$(BIN)/python examples/compare/make_corpus.py
	$(BIN)/python examples/compare/make_web.py

# Rebuild the neural teacher of examples/neural_teacher (about half an hour on one core), and measure it.
teacher: install
	$(BIN)/python examples/neural_teacher/make_corpus.py
	$(BIN)/remedial pretrain -c examples/neural_teacher/pretrain.yaml --output-dir examples/neural_teacher/model
	$(BIN)/python examples/neural_teacher/measure.py

clean:
	rm -rf $(VENV) .venv-vllm build dist *.egg-info
