# Everything a developer does, from a bare Python >= 3.11: each target sets up what it needs.

PYTHON ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
BENCH   := .bench/suite
RAY     := .bench/ray
MUTANTS := .bench/mutants

# Tests and measurements start programs by the hundred, and these would compile this package each
# time, as no installed package is: so bytecode is kept whatever the environment says.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test test-ray places check explained mutants bench guard profile soak limits batches graphs steps traffic web extras vendor screenshots baselines instants docs clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY)  ## Run the lead promotion; OPTIONS="--leads 20000 --concurrency 500" for more
	$(BIN)/antq demo $(OPTIONS)

# In four programs at a time, also on two cores, because most tests wait for time, a disk or a
# program. Those of executors count the processes and threads of their program, so they have their
# own, which run whatever the others say. So have those of pages: a browser is started once in each
# program, and wants both cores for itself.
test: $(READY)  ## Run the tests; OPTIONS="tests/otp -x" for some of them, one after the other
ifeq ($(OPTIONS),)
	@failed=0; \
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder \
	  --ignore=tests/executors --ignore=tests/browser || failed=1; \
	$(BIN)/python -m pytest --numprocesses 4 tests/executors || failed=1; \
	$(BIN)/python -m pytest --numprocesses 2 tests/browser || failed=1; \
	exit $$failed
else
	$(BIN)/python -m pytest $(OPTIONS)
endif

test-ray: $(RAY)/.ready  ## The tests that need Ray (240 MB), in an environment of their own
	$(RAY)/bin/python -m pytest tests/executors -k ray $(OPTIONS)

# A run of the tests cuts at each fifth place, from one at random: a few runs come to all of them.
places: $(READY)  ## Cut threads short at every place of an enqueue, a start, a stop, a service; OPTIONS="-k served"
	$(BIN)/python -m pytest --numprocesses 4 tests/faults/test_cut_short.py \
	  tests/faults/test_cut_short_served.py tests/faults/test_crashed_services.py \
	  --cut-every 1 --timeout 1500 $(OPTIONS)

check: $(READY)  ## Formatting, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config imports_for_types.toml

explained: $(READY)  ## Why jobs do not run, each reason, with 1,000,000 stored, or STORED=200000; and how long it takes
	$(BIN)/python -m pytest tests/test_explain.py tests/test_explain_limits.py \
	  --stored $(or $(STORED),1000000) --timeout 1500

mutants: $(MUTANTS)/.ready  ## Change what decides, and see whether its tests notice; OPTIONS="jobs/unique.py"
	$(MUTANTS)/bin/python tests/mutants/run.py $(OPTIONS)

bench: $(BENCH)/.ready  ## Measure this machine, beside other job queues; OPTIONS="--peers none" ours alone
	$(BENCH)/bin/python benchmarks/run.py $(OPTIONS)

guard: $(READY)  ## Compare this machine's ratios with the baseline; OPTIONS=--update writes it anew
	$(BIN)/python benchmarks/guard.py $(OPTIONS)

profile: $(READY)  ## Where a job's microseconds go; OPTIONS="--one-core --seconds 20"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group profile \
	  || echo "py-spy cannot be installed here, so this is only roughly where the time goes." >&2
	$(BIN)/python benchmarks/microseconds.py $(OPTIONS)

soak: $(READY)  ## Kill nodes and producers; CYCLES=1000 for as many kills, SEED=7 to repeat a run
	$(BIN)/python tests/crash/soak.py $(if $(CYCLES),--cycles $(CYCLES)) $(if $(SEED),--seed $(SEED))

limits: $(READY)  ## Eight processes, kills and limits: KIND=over SECONDS=600, KIND=chains or rates STARTS=100000
	$(BIN)/python tests/crash/limits_soak.py $(or $(KIND),over) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(STARTS),--starts $(STARTS)) $(if $(SEED),--seed $(SEED))

batches: $(READY)  ## Kill nodes that run batches; KILLS=200 MEMBERS=10000 for how often, and how large
	$(BIN)/python tests/crash/killed.py batches $(if $(KILLS),--kills $(KILLS)) \
	  $(if $(MEMBERS),--members $(MEMBERS)) $(if $(SEED),--seed $(SEED))

graphs: $(READY)  ## Kill nodes that run random graphs; KILLS=1000 GRAPHS=200 SIZE=10000 jobs at most
	$(BIN)/python tests/crash/killed.py graphs $(if $(KILLS),--kills $(KILLS)) \
	  $(if $(GRAPHS),--graphs $(GRAPHS)) $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED))

steps: $(READY)  ## Kill nodes that run jobs of twenty steps; KILLS=1000 JOBS=8 for how often, and how many at once
	$(BIN)/python tests/crash/killed.py steps $(if $(KILLS),--kills $(KILLS)) \
	  $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED))

traffic: $(READY)  ## Two nodes and two producers at full speed; SECONDS=600 for how long
	$(BIN)/python tests/crash/traffic.py $(if $(SECONDS),--seconds $(SECONDS))

web: $(READY)  ## Web servers under load while antq start is killed; SECONDS=30 RATE=200 KILLS=3 SITES="flask quart"
	PYTHONPATH=tests $(BIN)/python tests/web/load.py $(if $(SITES),--sites $(SITES)) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RATE),--rate $(RATE)) $(if $(KILLS),--kills $(KILLS))

extras: $(READY)  ## Install each extra from the wheel into a new environment; EXTRAS="otel django" PYTHONS="python3.12"
	$(BIN)/python tests/integrations/fresh_extras.py $(if $(EXTRAS),--extras $(EXTRAS)) \
	  $(if $(PYTHONS),--pythons $(PYTHONS))

vendor: $(READY)  ## Fetch the scripts and icons that pages load, of the versions in tests/web/vendoring.py
	$(BIN)/python tests/web/vendoring.py

screenshots: $(READY)  ## Make the pictures of the docs anew; FOLDER=/tmp/pages for one of each page, of every kind
	PYTHONPATH=tests $(BIN)/python -m browser.screenshots $(FOLDER)

baselines: $(READY)  ## Make the pictures anew that pages are compared with; PICTURES="tree job" for some of them
	PYTHONPATH=tests $(BIN)/python -m browser.pictures $(PICTURES)

instants: $(READY)  ## Kill eight nodes that fire periodic entries; INSTANTS=100000 for how many
	$(BIN)/python tests/crash/killed.py crons $(if $(INSTANTS),--instants $(INSTANTS))

docs: $(READY)  ## Write docs/reference.md, run every example of README.md and docs/, check the links
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/openapi.py
	$(BIN)/python -m pytest tests/test_docs.py
	@echo "Every example ran, every link leads somewhere. The pages:"
	@for page in README.md docs/*.md docs/*/*.md; do printf '  %-36s %s\n' "$$page" "$$(sed -n 's/^# //p' "$$page" | head -n 1)"; done

clean:  ## Remove the virtual environment and all caches
	rm -rf $(VENV) .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .pykka_suite

# Done once, and again when pyproject.toml changes. Without pip in it the environment is
# half made (Debian's python3 without python3-venv leaves such a one) or its Python is gone.
# make bench has its own: measured is what users would install, and drawing takes more. So has
# make test-ray: the others are to show what happens where Ray is not installed. And make mutants.
$(READY): VENV_OF := $(VENV)
$(READY): GROUP := dev
$(BENCH)/.ready: VENV_OF := $(BENCH)
$(BENCH)/.ready: GROUP := bench
$(RAY)/.ready: VENV_OF := $(RAY)
$(RAY)/.ready: GROUP := dev --group ray
$(MUTANTS)/.ready: VENV_OF := $(MUTANTS)
$(MUTANTS)/.ready: GROUP := dev --group mutants
$(READY) $(BENCH)/.ready $(RAY)/.ready $(MUTANTS)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python >= 3.11 is needed, and '$(PYTHON)' is not that; write for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(VENV_OF)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV_OF)
	$(VENV_OF)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV_OF)/bin/python -m pip install --quiet --editable . --group $(GROUP)
	@touch $@
