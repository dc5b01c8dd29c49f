.DEFAULT_GOAL := help
.PHONY: help install serve dev up down test test-all docker-test lint format lock zoo bench

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
KSERVE := .venv-kserve/.ready

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY)  ## make .venv with everything, from pinned and hashed requirements

$(READY): requirements-dev.txt requirements-docs.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r requirements-docs.txt
	@touch $@

$(KSERVE): requirements-kserve.txt  # KServe's client holds protobuf and pandas back: an environment of its own
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/pip install --disable-pip-version-check --quiet --require-hashes -r requirements-kserve.txt
	@touch $@

serve: $(READY)  ## serve the models on http://127.0.0.1:8000
	$(BIN)/gunicorn -c conf/gunicorn.py

dev: $(READY)  ## the same, reloading on every change of code
	$(BIN)/gunicorn -c conf/gunicorn.py --reload

up:  ## build and start the containers: nginx on port 80, the service behind it
	docker compose up --build --detach --wait

down:  ## stop the containers
	docker compose down

test: $(READY) $(KSERVE)  ## run the tests, without the long ones and those of the containers
	$(BIN)/pytest -m "not long" -n auto --dist loadgroup --cov

test-all: $(READY) $(KSERVE)  ## run all tests that need no containers, as CI does
	$(BIN)/pytest -n auto --dist loadgroup --cov

docker-test: $(READY)  ## run the tests of the containers; they need Docker and port 80
	$(BIN)/pytest tests/docker

zoo: $(READY)  ## package, serve and compare all of scikit-learn's predictors
	$(BIN)/python -m tests.support.zoo

bench: $(READY)  ## compare speed with what a user would pick instead (BENCH=--help tells the choices)
	$(BIN)/python -m bench.peers $(BENCH)

lint: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile.api Dockerfile.nginx
	$(BIN)/gixy conf/nginx.conf
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)  ## compile requirements*.txt from pyproject.toml
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra sklearn pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-c requirements.txt pyproject.toml -o requirements-onnx.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra sklearn --extra packaging --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	echo kserve | $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		- -o requirements-kserve.txt
	echo drf-spectacular-sidecar | $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-deps - -o requirements-docs.txt
