# Everything a person or CI runs here, one line each. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup check test up down status demo bench chaos docs
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTEST := pytest $(if $(CI),-q --color=no,)

help:    ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16
setup:   ## make this machine ready: .venv, and what apt must bring (silent when nothing is missing)
	@deployments/bootstrap.sh
check: setup  ## format, lint, types and every test that needs nothing outside Python
	@ruff format --check --quiet . && ruff check --quiet . && mypy && $(PYTEST) -m "not real"
test:    ## everything: what `check` does, and the tests against real products
	@deployments/bootstrap.sh tests && ruff format --check --quiet . && ruff check --quiet . && mypy && $(PYTEST)
up: setup  ## start the embedded stack in .interlock (again: start only what is missing)
	@python -m deployments.stack up
down: setup  ## stop exactly what `up` and `demo` started; data stays
	@python -m deployments.stack down && python -m deployments.stack down --folder .interlock/demo
status: setup  ## show what runs, and where
	@python -m deployments.stack status
demo: setup  ## a release, an approval, a canary and a way back, on the embedded stack
	@python -m examples.demo
bench: setup  ## measure again every figure that the README states
	@python -m bench
chaos: setup  ## break one thing after the other in real releases; SEED= FAULT= STEP= FAULTS= PART= SAMPLE=1 FRESH=1
	@python -m bench.chaos $(foreach name,SEED FAULT STEP FAULTS PART,$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name)))) $(if $(SAMPLE),--sample) $(if $(FRESH),--fresh)
simulate: setup  ## releases by the thousand on a clock of their own, with everything going wrong
	@python -m bench.simulation --releases 100000
docs: setup  ## write the generated pages of docs/ again
	@python -m cli.app docs
