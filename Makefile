.DEFAULT_GOAL := help
.PHONY: help install serve dev up down test test-all docker-test lint format lock sbom zoo bench

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SERVING := .venv/.serving
KSERVE := .venv-kserve/.ready
KUBERNETES := .venv-kubernetes/.ready
BOOSTERS := .venv-boosters/.ready

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY)  ## make .venv with everything, from pinned and hashed requirements

# The environment grows in stages. `make serve` installs the packages that serve converted models. The first `add`, or
# `serve` if a model needs it, installs scikit-learn and the packages that convert models. `make install` installs all.
PIP_INSTALL := $(BIN)/pip install --disable-pip-version-check
# The files of the API browser. Their package requires Django, which the service does not use: --no-deps leaves it out.
DOCS := $(PIP_INSTALL) --quiet --no-deps --require-hashes -r requirements-docs.txt
ITSELF := $(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable .

$(SERVING): requirements-onnx.txt requirements-docs.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@echo "Making .venv with the packages that serving needs (make install adds the others):"
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --no-compile --require-hashes -r requirements-onnx.txt
	$(DOCS)
	$(ITSELF)
	@touch $@

$(READY): requirements-dev.txt requirements-docs.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --require-hashes -r requirements-dev.txt
	$(DOCS)
	$(ITSELF)
	@touch $(SERVING) $@

$(KSERVE): requirements-kserve.txt  # KServe's client needs older releases of protobuf and pandas, so it has an environment of its own
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/pip install --disable-pip-version-check --quiet --require-hashes -r requirements-kserve.txt
	@touch $@

$(KUBERNETES): requirements-kubernetes.txt  # kubectl and the validators need other releases of packages that .venv has, too
	$(PYTHON) -m venv .venv-kubernetes
	.venv-kubernetes/bin/pip install --disable-pip-version-check --quiet --require-hashes -r requirements-kubernetes.txt
	@touch $@

$(BOOSTERS): requirements-boosters.txt  # only boosters' models need these packages, so they are in an environment beside .venv
	$(PYTHON) -m venv .venv-boosters
	.venv-boosters/bin/pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements-boosters.txt
	@.venv-boosters/bin/python -c 'import sysconfig as s; own = s.get_path("purelib"); \
		open(own + "/upon.pth", "w").write(own.replace(".venv-boosters", ".venv"))'
	@touch $@

GUNICORN := .gunicorn/.ready

$(GUNICORN): requirements.txt | $(READY)  # Gunicorn's own requests, which its wheel does not have, for test-all
	rm -rf .gunicorn && mkdir .gunicorn
	sed -n '/^gunicorn==/,/# via/p' requirements.txt > .gunicorn/requirements.txt
	$(BIN)/pip download --disable-pip-version-check --quiet --no-deps --no-binary gunicorn \
		--require-hashes -r .gunicorn/requirements.txt -d .gunicorn
	tar -xzf .gunicorn/gunicorn-*.tar.gz -C .gunicorn --strip-components=1
	@touch $@

SBOM := .venv-sbom/.ready

$(SBOM): requirements-sbom.txt
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/pip install --disable-pip-version-check --quiet --require-hashes -r requirements-sbom.txt
	@touch $@

serve: $(SERVING)  ## serve the models on http://127.0.0.1:8000, or PORT=9000
	@$(BIN)/model-server serve $(if $(PORT),--port $(PORT))

dev: $(READY)  ## serve the models, and reload at each change of code
	@$(BIN)/model-server serve $(if $(PORT),--port $(PORT)) -- --reload

up:  ## build and start the containers: nginx on port 80 and the service behind it; TLS=1 adds HTTPS
	@conf/up.sh

down:  ## stop the containers
	docker compose down

test: $(READY) $(KSERVE) $(KUBERNETES) $(BOOSTERS)  ## run the tests, without the long ones and those of the containers
	$(BIN)/pytest -m "not long" -n auto --dist loadgroup

test-all: $(READY) $(KSERVE) $(KUBERNETES) $(BOOSTERS) $(GUNICORN)  ## run all tests that need no containers, as CI does
	$(BIN)/pytest -n auto --dist loadgroup --cov

docker-test: $(READY)  ## run the tests of the containers; they need Docker and port 80
	$(BIN)/pytest tests/docker

zoo: $(READY) $(BOOSTERS)  ## package, serve and compare all predictors of scikit-learn and of the boosters
	$(BIN)/python -m tests.support.zoo
	.venv-boosters/bin/python -m tests.support.booster_zoo

bench: $(READY)  ## compare the speed with other model servers (BENCH=--help lists the options)
	$(BIN)/python -m bench.peers $(BENCH)

lint: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile.api Dockerfile.nginx
	@set -e; directory=$$(mktemp -d); export NGINX_VERSION=1.30.0; conf/nginx/start.sh --render $$directory; \
		echo '$(BIN)/gixy nginx.conf'; $(BIN)/gixy $$directory/nginx.conf; \
		export RATE_LIMIT=1/s CONNECTIONS_PER_ADDRESS=1 TRUSTED_PROXIES=10.0.0.0/8 CORS_ORIGINS=https://a.b TLS=1 HSTS_SECONDS=1; \
		conf/nginx/start.sh --render $$directory; \
		$(BIN)/gixy $$directory/nginx.conf; rm -r $$directory
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml

sbom: $(SBOM)  ## write sbom.json, the Python packages of the image with their hashes (CycloneDX)
	@PYTHONWARNINGS=ignore .venv-sbom/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml -o sbom.json requirements.txt
	@echo "sbom.json lists the packages of requirements.txt. The base image has a list of its own."

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The extras stay: an older pip does not know that coverage==7 pins the coverage[toml] that another package asks for.
LOCK := $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras

lock: $(READY)  ## compile requirements*.txt from pyproject.toml
	$(LOCK) --extra sklearn --extra install pyproject.toml -o requirements.txt
	$(LOCK) --extra install -c requirements.txt pyproject.toml -o requirements-onnx.txt
	echo pyarrow | $(LOCK) - -o requirements-arrow.txt
	$(LOCK) --extra sklearn --extra install --extra packaging --extra arrow --extra dev \
		-c requirements.txt -c requirements-arrow.txt pyproject.toml -o requirements-dev.txt
	$(LOCK) --extra sklearn --extra install --extra packaging -c requirements-dev.txt pyproject.toml -o requirements-packaging.txt
	echo kserve | $(LOCK) - -o requirements-kserve.txt
	printf 'checkov\nkubectl-cli-bin\nkubernetes-validate\n' | $(LOCK) - -o requirements-kubernetes.txt
	printf 'xgboost-cpu\nlightgbm\ncatboost\nsix\n' | $(LOCK) --no-deps -c requirements-dev.txt - -o requirements-boosters.txt
	echo cyclonedx-bom | $(LOCK) - -o requirements-sbom.txt
	echo drf-spectacular-sidecar | $(LOCK) --no-deps - -o requirements-docs.txt
