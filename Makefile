# Two commands: `make run` and `make test`. The rest is below.
PYTHON ?= python3
BIN := .venv/bin
# Two cores are shared by the parallel tests; more threads than that only wait for each other.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: run test test-all check format bench-content bench-daily-retrain bench-house bench-quality bench-monitoring bench-reading bench-replay bench-scale bench-serving environment clean

run: environment ## train on the bundled sample and build the service
	$(BIN)/python flows/train_flow.py --no-pylint run

test: environment ## the fast tests
	$(TEST)

test-all: environment ## the fast and the slow tests: real data, whole runs, the built bento
	$(TEST) -m "slow or not slow"

check: environment ## linters, types, the directions of imports, plain names and plain words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_names.py
	$(BIN)/python scripts/check_prose.py

format: environment ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-content: environment ## speed and upkeep of content extraction (WITH="--only throughput" for a part)
	$(BIN)/python -m benchmarks.content $(WITH)

bench-house: environment ## files, imports and names of the code, before and after: ten seconds
	$(BIN)/python -m benchmarks.house $(WITH)

bench-quality: environment ## quality on public data: hours; continues where it was stopped (WITH="--only scientific" for a part)
	$(BIN)/python -m benchmarks.quality $(WITH)

bench-daily-retrain: environment ## yesterday's weights against random ones, day by day: an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.daily_retrain $(WITH)

bench-monitoring: environment ## false alarms and planted shifts of the monitor: an hour; continues where it was stopped (WITH="--pairs 5" for a try)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.monitoring $(WITH)

bench-reading: environment ## inputs as people have them, and the speed of reading: half an hour (WITH="--only cases" for a part)
	$(BIN)/python -m benchmarks.reading $(WITH)

bench-replay: environment ## two weeks of a shop through service, monitor and retraining: 40 minutes; continues where it was stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.replay $(WITH)

bench-scale: environment ## up to 50 million interactions, and 50 killed runs: hours; continues where it was stopped (WITH="--only growth --millions 1 5" for a part)
	$(BIN)/python -m benchmarks.scale $(WITH)

bench-serving: environment ## the service under load: half an hour, on a quiet machine; needs wrk (WITH="--only latency" for a part)
	$(BIN)/python -m benchmarks.serving $(WITH)

environment: .venv/.made ## make the environment from the constraints file

.venv/.made: pyproject.toml constraints.txt scripts/make_environment
	PYTHON=$(PYTHON) scripts/make_environment .venv
	touch $@

clean: ## remove the environment and everything that runs left
	rm -rf .venv .metaflow .learn reports data
