# Ordersmith's commands; `make help` lists them. They need make and Python 3.11 or newer, and install the rest into $(VENV).
#
#   PYTHON  the interpreter that makes the environment      make demo PYTHON=python3.12
#   VENV    where the environment lies                      make test VENV=.ci-venv
#   ARGS    more arguments for the command behind a target  make test ARGS="-k dispatcher"
#   TESTERS how many processes run tests at once            make test TESTERS=1
#   STORM   how much of a storm                             make storm STORM="--seconds 60"
#   ROUNDS  how many storms at a local Alpaca               make test-crash ROUNDS=50

new_enough = $(shell $(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1 && echo $(1))
PYTHON ?= $(or $(call new_enough,python3),$(call new_enough,python3.13),$(call new_enough,python3.12),\
	$(call new_enough,python3.11),python3)
VENV ?= .venv
ARGS ?=
TESTERS ?= 3
STORM ?= --seeds 1250 --hours 8
ROUNDS ?= 500

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-paper test test-newest-sdk test-crash storm mutants lint format bench trace install install-dev clean distclean
.DELETE_ON_ERROR:

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

demo: $(VENV)/.installed-backtest ## trade target positions through real prices and show the summary
	$(VENV)/bin/ordersmith backtest examples/rebalance.yaml --out out/demo $(ARGS)

test: $(VENV)/.installed-dev ## run all tests
	$(VENV)/bin/python -m pytest tests -n $(TESTERS) --dist worksteal $(ARGS)

test-crash: $(VENV)/.installed-dev ## kill a trading process at each crash point, 20 times, and in 500 storms at a local Alpaca; trade and start for long
	$(VENV)/bin/python tests/kit/crash_rounds.py $(ARGS)
	$(VENV)/bin/python tests/kit/alpaca_rounds.py --rounds $(ROUNDS)
	ORDERSMITH_TEST_ROUNDS=2 $(VENV)/bin/python -m pytest tests/end_to_end/test_long_live.py

test-newest-sdk: $(VENV)-newest/bin/python ## run the brokers' contracts against the newest alpaca-py, in an environment of its own
	$(VENV)-newest/bin/python -m pip install -q -c constraints.txt -e '.[dev]'
	$(VENV)-newest/bin/python -m pip install -q --upgrade alpaca-py
	$(VENV)-newest/bin/python -m pytest tests/contracts tests/adapters/alpaca -n $(TESTERS) $(ARGS)

demo-paper: $(VENV)/.installed-alpaca,sandbox ## trade for a minute on a local Alpaca, and show orders, fills and positions
	$(VENV)/bin/python examples/demo_paper.py $(ARGS)

storm: $(VENV)/.installed-backtest ## simulate 10,000 broker-hours under faults and check what must always hold
	$(VENV)/bin/ordersmith simulate $(STORM) $(ARGS)

mutants: $(VENV)/.installed-dev ## plant bugs, one at a time, and see the storm find each
	$(VENV)/bin/python tests/kit/storm_mutants.py $(ARGS)

lint: $(VENV)/.installed-dev ## check style, layout and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.installed-dev ## lay out the code and repair what can be repaired by itself
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed-backtest ## compare the speed with other backtesters, where they are installed, and live with the bare disk
	$(VENV)/bin/python benchmarks/live.py
	$(VENV)/bin/python benchmarks/run.py $(ARGS)

trace: ## compare the trace hashes of the demo and of a storm on every Python that is installed
	$(PYTHON) tests/trace_across_pythons.py $(ARGS)

install: $(VENV)/.installed-backtest ## make the environment that `make demo` needs

install-dev: $(VENV)/.installed-dev ## make the environment that `make test` and `make lint` need

clean: ## remove outputs and caches
	rm -rf out bench-out build dist *.egg-info .hypothesis .mypy_cache .ruff_cache .pytest_cache tests/.pytest_cache
	find . -name '.?*venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove the environments
	rm -rf .venv .venv-* .ci-venv .ci-venv-*

# An environment ignores itself for git. A stamp is as new as the last installation; pip says nothing unless it fails.
$(VENV)-newest/bin/python:
	@$(PYTHON) -m venv $(VENV)-newest
	@echo '*' > $(VENV)-newest/.gitignore

$(VENV)/bin/python:
	@test -n "$(call new_enough,$(PYTHON))" || { \
		echo "Ordersmith needs Python 3.11 or newer; $(PYTHON) says: $$($(PYTHON) -V 2>&1 | head -n 1)" >&2; \
		echo "Name one that is: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
	@echo '*' > $(VENV)/.gitignore

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing ordersmith[$*] and what it needs into $(VENV) (once, about a minute)"
	@$(VENV)/bin/python -m pip install -c constraints.txt -e '.[$*]' > $(VENV)/install.log 2>&1 || { \
		cat $(VENV)/install.log >&2; echo "The installation failed; the lines above say why." >&2; exit 1; }
	@touch $@
