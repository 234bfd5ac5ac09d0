# Speed
.PHONY: bench bench-db bench-peers bench-switches bench-load
bench: ## time a training step on the CPU: ms, tokens/s, share of the GEMM peak, per-op table; and what bench-db does
	@scripts/deps.sh build test
	@$(SUBMAKE) all $(BUILD)/tests/bench_step $(BUILD)/tests/bench_db
	@$(BUILD)/tests/bench_step
	@$(BUILD)/tests/bench_db --program $(PROGRAM) $(SCALE_FLAGS)

# 200 runs and half a million steps; SCALE=full: 2,000 and five million, some minutes and 500 MB in TMPDIR.
SCALE ?=
SCALE_FLAGS = $(if $(filter full,$(SCALE)),--full) $(if $(KEEP),--keep '$(KEEP)')
bench-db: ## what a large suite costs: rows/s, bytes per step, time of each command, the runner's share of a step: SCALE=full, KEEP=DIR
	@scripts/deps.sh build
	@$(SUBMAKE) all $(BUILD)/tests/bench_db
	@$(BUILD)/tests/bench_db --program $(PROGRAM) $(SCALE_FLAGS)

PYTHON ?= python3
PEER_SETTINGS = $(foreach v,ROUNDS MODELS PRECISIONS PEERS THREADS BF16 SPIN ALLOCATOR LIMIT LLMC LLMC_ROUNDS OUT,$(if $($(v)),$(v)='$($(v))'))
bench-peers: ## the same steps in gptbench and PyTorch, in turn: PYTHON=, ROUNDS=, MODELS=, PRECISIONS=, PEERS=, LLMC=
	@scripts/deps.sh build
	@$(SUBMAKE) $(addprefix $(BUILD)/tests/,bench_peer peer_table)
	@$(PEER_SETTINGS) scripts/bench_peers.sh $(BUILD) '$(PYTHON)'

# A database of its own each time: what was timed by another version does not mix in.
SWITCHES_DB = $(BUILD)/switches.db
bench-switches: ## what GQA, window, SwiGLU, ... gain in time against what they save in FLOPs, in turn
	@scripts/deps.sh build
	@$(SUBMAKE) all $(BUILD)/tests/switch_table
	@rm -f $(SWITCHES_DB) $(SWITCHES_DB)-wal $(SWITCHES_DB)-shm
	@$(PROGRAM) run suites/switches.ini --speed-only --backend cpu --no-report --db $(SWITCHES_DB)
	@$(BUILD)/tests/switch_table $(SWITCHES_DB)

LOAD_SETTINGS = $(foreach v,ROUNDS STEPS ISAS PRECISION,$(if $($(v)),$(v)='$($(v))'))
bench-load: ## a step beside as many busy loops as threads against a quiet one, per instruction set: ROUNDS=, STEPS=, ISAS=
	@scripts/deps.sh build
	@$(SUBMAKE) $(BUILD)/tests/bench_step
	@$(LOAD_SETTINGS) scripts/bench_load.sh $(BUILD)

.PHONY: timing-check
timing-check: ## do verdicts on speed hold on this machine: 20 suites of equals, 20 with one 3 % slower
	@scripts/deps.sh build
	@$(SUBMAKE) all
	@scripts/timing_check.sh $(BUILD) $(ROUNDS)
