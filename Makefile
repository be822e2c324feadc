# Every target does its own set-up: a virtual environment in .venv, from the pins in pyproject.toml.
#   QUICK=1          less training, the same road
#   PYTHON=python3   the interpreter that .venv is made with, 3.11 or newer
#   BUILD=build OUT=figures   where executed notebooks and figures go
#   TORCH_INDEX=URL  where pip finds a small CPU build of torch, see the README

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
QUICK ?= 0
BUILD ?= build
OUT ?= figures
export SIMMORE_BUILD := $(abspath $(BUILD))

# public data are read from a mirror when there is one beside the checkout
ifneq ($(wildcard ../shared/upstream),)
export SIMMORE_MIRROR ?= $(abspath ../shared/upstream)
endif

NOTEBOOKS := 01_proxy_accuracy 02_synthetic_devices 03_training 04_search_trajectories 05_search_quality \
  06_latency_prediction 07_your_machine 08_explore_devices
EXECUTED := $(NOTEBOOKS:%=$(BUILD)/notebooks/%.ipynb)
# 05 searches 17 devices with 18 strategies, which takes longer than all the others: it has a target of its own
COMPARISON := $(BUILD)/notebooks/05_search_quality.ipynb
FIGURES := fig1_devices fig2_profiles fig3_proxy_accuracy fig4_policy fig5_training fig6_trajectories fig9_prediction figS1_scores \
  figS2_own_devices
COMPARED := fig7_regret fig8_constrained
MADE = $(foreach f,$(1),$(OUT)/$(f).pdf $(OUT)/$(f).png $(OUT)/data/$(f).csv) $(OUT)/claims.csv $(OUT)/provenance.json
SOURCES := $(shell find simmore -type f -not -path '*/__pycache__/*')
MODE := $(BUILD)/mode-$(QUICK)

# papermill's bar belongs on a terminal, not in a log
BAR := $(shell test -t 2 && echo --progress-bar || echo --no-progress-bar)

.DELETE_ON_ERROR:
.PHONY: help figures comparison notebooks data proxies own-devices train test bench check format sync lab explore site test-browser test-binder clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

figures: data $(filter-out $(COMPARISON),$(EXECUTED)) ## Rebuild every figure of the paper in figures/ (QUICK=1: with less training)
	@$(call complete,$(FIGURES),$(filter-out $(COMPARISON),$(EXECUTED)))

comparison: data $(COMPARISON) ## Rebuild figures 7 and 8: all search strategies on all devices (about 8 minutes)
	@$(call complete,$(COMPARED),$(COMPARISON))

# a figure that was deleted is drawn again, by executing what makes it: figures, notebooks
define complete
missing=""; for file in $(call MADE,$(1)); do test -s $$file || missing="$$missing $$file"; done; \
if [ -n "$$missing" ]; then \
  echo "rebuilding$$missing"; rm -f $(2); $(MAKE) --no-print-directory $(2); fi; \
echo "$(OUT)/: $(words $(1)) figures as PDF and PNG, their data in data/, the claims in claims.csv"
endef

notebooks: $(EXECUTED) ## Execute the notebooks, into build/notebooks/

# 03 and 04 read nothing of one another, but all enter their claims in one table: one after the other
.NOTPARALLEL:
$(BUILD)/notebooks/%.ipynb: notebooks/%.ipynb $(SOURCES) $(MODE) $(READY)
	@mkdir -p $(@D)
	@echo "executing $<"
	@$(BIN)/papermill $(BAR) --log-level WARNING --kernel python3 --cwd notebooks \
	  -p figures $(abspath $(OUT)) -p quick $(if $(filter 1,$(QUICK)),True,False) $< $@.part.ipynb
	@mv $@.part.ipynb $@

# figures of a quick run are no full ones: changing the mode makes every notebook run again
$(MODE):
	@mkdir -p $(BUILD) && rm -f $(BUILD)/mode-* && touch $@

data: $(READY) ## Fetch the measured tables, and say which are there
	@$(BIN)/python -m simmore data

proxies: $(READY) ## Compute the training-free scores of all cells anew (resumable; half an hour on two cores)
	for dataset in cifar10 cifar100 ImageNet16-120; do $(BIN)/python -m simmore proxies --dataset $$dataset || exit 1; done
	$(BIN)/python -m simmore proxies --samples

own-devices: $(READY) ## Measure all cells in the project's runtimes anew (resumable; about an hour on two idle cores)
	$(BIN)/python -m simmore own-devices

train: $(READY) ## Train all that ships with the package anew (resumable; about 25 minutes)
	$(BIN)/python -m simmore train simmore/tables/controller_paper
	$(BIN)/python -m simmore train simmore/tables/controller_heldout $(foreach d,titan_rtx_1 gold_6226 pixel2 raspi4 eyeriss fpga,--without $(d))
	$(BIN)/python -m simmore train-strategies

test: $(READY) ## Run the tests (about four minutes)
	$(BIN)/python -m pytest -q

bench: $(READY) ## Measure speed and memory, and print a table
	@$(BIN)/python -m simmore bench

check: $(READY) ## Lint, types, and whether the notebooks and their .py files agree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_notebooks.py -k committed

format: $(READY) ## Format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sync: $(READY) ## Bring notebooks and their .py files in step (the newer of each pair wins)
	$(BIN)/jupytext --sync $(NOTEBOOKS:%=notebooks/%.ipynb)

lab: $(READY) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

# what Voila finds in app/: the page's template, and what may be served (voila.json)
explore: export JUPYTER_PATH := $(CURDIR)/app
explore: export JUPYTER_CONFIG_PATH := $(CURDIR)/app
explore: $(READY) ## Open the explorer as an app in the browser (PORT=8866)
	$(BIN)/voila notebooks/08_explore_devices.ipynb --port=$(or $(PORT),8866)

site: $(EXECUTED) ## Build the notebooks, figures and claims as a static site, build/site/
	@$(BIN)/python site/make.py $(OUT) $(BUILD)/notebooks $(BUILD)

test-browser: $(READY) ## Test the explorer in a real browser, against real servers (about 4 minutes)
	@test -x $${CHROMIUM:-/usr/bin/chromium} || ! command -v apt-get >/dev/null || { \
	  echo "installing Debian's chromium"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true
	$(BIN)/python -m pytest -q -s tests/browser

test-binder: $(READY) ## Test what Binder will do with the repository (some minutes)
	$(BIN)/python -m pytest -q tests/binder

clean: ## Delete what was built, but neither figures nor the virtual environment
	rm -rf build .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "simmore needs Python 3.11 or newer: make PYTHON=python3.12 figures"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV)"
	@$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[all]'
	@$(BIN)/python -m pip install -q --no-deps $$($(BIN)/python -c \
	  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["simmore"]["no-deps"])')
	@# kernels that only this machine can reach need not warn that they are not encrypted
	@mkdir -p $(VENV)/etc/ipython && echo '{"IPKernelApp": {"log_level": 40}}' > $(VENV)/etc/ipython/ipython_kernel_config.json
	@touch $@
