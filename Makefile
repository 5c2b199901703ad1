# make serve   start the server on http://localhost:8080 with the built-in person
# make test    install what the tests need, and run them all
# make install only make the environment (.venv/bin/visavis)
# make finetune-env  what `visavis finetune` needs, the face tracker among it
# make person  make the built-in person anew from its clip (20 minutes; docs/finetune.md)
PYTHON ?= python3
VENV := .venv
DEV := .venv-dev
PIP := -m pip install -q --disable-pip-version-check

.PHONY: serve install test check-long check-wheel lint finetune-env person clean

serve: install
	@exec $(VENV)/bin/visavis serve

install: $(VENV)/.installed

# Serving and testing have environments of their own: serving stays small.
$(VENV)/.installed: pyproject.toml
	@PYTHON=$(PYTHON) scripts/check-machine
	@test -x $(VENV)/bin/python || { echo "Making $(VENV) (once, about a minute)."; $(PYTHON) -m venv $(VENV); }
	@$(VENV)/bin/python $(PIP) -e '.[cpu]'
	@touch $@

$(DEV)/.installed: pyproject.toml
	@PYTHON=$(PYTHON) scripts/check-machine
	@test -x $(DEV)/bin/python || { echo "Making $(DEV) (once, a few minutes)."; $(PYTHON) -m venv $(DEV); }
	@$(DEV)/bin/python $(PIP) -e '.[dev]'
	@touch $@

lint: $(DEV)/.installed
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/mypy -p visavis

test: $(DEV)/.installed lint
	@scripts/install-test-programs
	@scripts/install-test-clients
	@scripts/install-test-agents livekit
	@if scripts/check-tracker-python $(TRACKER_PYTHON); then $(MAKE) -s $(TRACKER)/.installed; fi
	@scripts/run-tests $(DEV)/bin/python

check-long: $(DEV)/.installed
	@scripts/install-test-programs
	@scripts/install-test-clients
	@scripts/install-test-agents livekit pipecat
	@$(DEV)/bin/python -m pytest -m long

check-wheel: $(DEV)/.installed
	@scripts/check-wheel $(DEV)/bin/python

# The tracker needs numpy below 2, so it has an environment of its own, and a Python that its wheels
# were built for. PERSON takes options of `python -m visavis.finetune.presenter`.
TRACKER := build/tracker
TRACKER_PYTHON ?= $(PYTHON)

finetune-env: $(DEV)/.installed $(TRACKER)/.installed

$(TRACKER)/.installed: finetune/tracker/requirements.txt
	@scripts/check-tracker-python $(TRACKER_PYTHON)
	@test -x $(TRACKER)/bin/python || $(TRACKER_PYTHON) -m venv $(TRACKER)
	@$(TRACKER)/bin/python $(PIP) -r $<
	@touch $@

person: $(DEV)/.installed $(TRACKER)/.installed
	@$(DEV)/bin/python -m visavis.finetune.presenter --tracker $(TRACKER)/bin/python $(PERSON)

clean:
	rm -rf $(VENV) $(DEV) .venv-livekit .venv-pipecat build dist
