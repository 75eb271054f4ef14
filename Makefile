# make setup | demo | test | test-all | lint | stubs: each sets up what it needs; the second time is quick.
SHELL := /bin/bash
BIN := .venv/bin
JAVA := streaming/java
PYTHON_STAMP := .venv/.installed
JAVA_STAMP := $(JAVA)/target/.built
KERNEL_STAMP := .venv/.kernels
AT_ONCE := -n 2 --no-loadscope-reorder

.PHONY: setup demo test test-all lint stubs clean

setup: $(PYTHON_STAMP) $(JAVA_STAMP) $(KERNEL_STAMP)

$(PYTHON_STAMP): requirements.lock pyproject.toml proto/pyproject.toml
	@python=$$(cli/prerequisites.sh) || exit 1; \
	test -x $(BIN)/python || "$$python" -m venv .venv
	@echo "installing Python packages (a few minutes the first time)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e proto -e .
	@$(BIN)/python -m pip check > /dev/null || { $(BIN)/python -m pip check >&2; exit 1; }
	@touch $@

$(JAVA_STAMP): $(JAVA)/pom.xml $(shell find $(JAVA)/src -name '*.java')
	@cli/prerequisites.sh > /dev/null || exit 1
	@echo "building the Java helper and fetching jars" >&2
	@mvn -q -B -Dstyle.color=never -f $(JAVA)/pom.xml package
	@touch $@

$(KERNEL_STAMP): $(PYTHON_STAMP) $(shell find online_models -name '*.py')
	@echo "compiling the models' kernels" >&2
	@$(BIN)/python -m online_models.engine.warm_up
	@touch $@

demo: setup
	@$(BIN)/nextclick demo $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	$(BIN)/python -m pytest $(AT_ONCE) --durations=60 --durations-min=5 -m "not long"

test-all: test
	$(BIN)/python -m pytest -m long

stubs: setup
	$(BIN)/python proto/generate.py
	npm ci --prefix clients/typescript
	clients/typescript/node_modules/.bin/buf generate

clean:
	rm -rf .venv $(JAVA)/target .nextclick clients/java/target
	rm -rf clients/typescript/node_modules clients/typescript/dist
