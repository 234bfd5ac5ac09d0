# Tests
# GPTBENCH_TEST_ONLY='test_cli*' ## of `make test` and tests/run_tests.sh: only programs of such a name
# GPTBENCH_TEST_JOBS=3 ## how many of them run at once

TEST_SRC := $(wildcard tests/unit/*/test_*.c)
# What a test finds that no other run of it does stands in a line `kinds: WORD...` near its top
# (CONTRIBUTING.md, "A test"); this gives the unit tests with a certain word there.
unit_tests_of_kind = $(basename $(notdir $(shell grep -lE '^[ /*]*kinds:.*\b$(1)\b' $(TEST_SRC))))

REF_OBJ := $(call obj,$(wildcard tests/ref/*.c))
TESTS   := $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(TEST_SRC)))
# Of `make bench-db`, `make bench-peers` and `make bench-switches`; tests/e2e/e2e_peers.sh tries them out.
BENCH_TOOLS := $(addprefix $(BUILD)/tests/,bench_db bench_peer peer_table switch_table)

# The programs lie in one folder, whatever room their sources come from.
vpath %.c $(sort $(dir $(TEST_SRC))) tests/perf tests/fakes
.PRECIOUS: $(BUILD)/tests/%.o
$(BUILD)/tests/%.o: %.c $(BUILD)/gen/flags_of_c
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

.SECONDARY: $(REF_OBJ) # not to be removed after linking

LINK_TEST = $(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(REF_OBJ) $(BUILD)/libgptbench.a $(BUILD)/gen/flags_of_link
	$(call say,TEST)
	$(LINK_TEST)

# ---- libraries that are loaded, not linked ----
FAKE_CC = $(Q)$(CC) -D_GNU_SOURCE -I. -std=c17 $(WARN) -O1 -g $(FAKE_FLAGS) -shared -fPIC -o $@ $< -ldl

# Stand-ins for NVIDIA's management library, of today and of long ago.
FAKE_NVML := $(BUILD)/tests/fake_nvml.so $(BUILD)/tests/fake_nvml_old.so
$(BUILD)/tests/fake_nvml_old.so: FAKE_FLAGS := -DFAKE_NVML_OLD
# A wall clock that goes backwards; loaded before all else.
FAKE_CLOCK := $(BUILD)/tests/fake_clock.so
# A listener for NVTX, which NVTX loads, and a stand-in for CUPTI; where their headers are.
FAKE_CUDA := $(if $(NVTX_DIR),$(BUILD)/tests/fake_nvtx.so) $(if $(CUPTI_DIR),$(BUILD)/tests/fake_cupti.so)
$(BUILD)/tests/fake_nvtx.so: FAKE_FLAGS := $(NVTX_FLAGS)
$(BUILD)/tests/fake_cupti.so: FAKE_FLAGS := $(CUPTI_FLAGS)
$(BUILD)/tests/fake_cupti.so: tests/fakes/fake_cupti.h
# Preloaded by the tests of faults: the system's refusals, one at a time.
FAULT_INJECT := $(BUILD)/tests/fault_inject.so
$(FAULT_INJECT): FAKE_FLAGS := -ftls-model=initial-exec

# A terminal of a given size, of which the lines and the keys that are pressed are known.
FAKE_TERMINAL := $(BUILD)/tests/fake_terminal

FAKES := $(FAKE_NVML) $(FAKE_CLOCK) $(FAKE_CUDA) $(FAULT_INJECT)
$(filter-out %_old.so,$(FAKES)): $(BUILD)/tests/%.so: tests/fakes/%.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(FAKE_CC)
$(BUILD)/tests/fake_nvml_old.so: tests/fakes/fake_nvml.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(FAKE_CC)

# ---- what is run ----
.PHONY: tests
tests: $(TESTS) $(BENCH_TOOLS) $(FAKES) $(FAKE_TERMINAL) $(PROGRAM) ## build the tests

# Without any optimisation the sanitized tests would take several times as long.
ASAN_BUILD := SANITIZE=address,undefined BUILD=$(BUILD)-asan OPT="-O1 -g"

.PHONY: test test-asan
test: ## install what is missing, build, run every test, also under sanitizers and emulated CUDA
	@scripts/deps.sh build test
	@$(SUBMAKE) tests
	@$(SUBMAKE) $(ASAN_BUILD) tests simt-tests
	@tests/run_tests.sh --simt $(BUILD)-asan/simt $(BUILD) $(BUILD)-asan

test-asan: ## the unit and end-to-end tests under address and undefined-behaviour sanitizers
	@scripts/deps.sh build test
	@$(SUBMAKE) $(ASAN_BUILD) tests
	@tests/run_tests.sh $(BUILD)-asan

# memcheck is slow and does not like forks: what reads files of others.
VALGRIND_TESTS := $(call unit_tests_of_kind,memcheck)
# What has threads, and what starts and hears processes.
TSAN_TESTS := $(call unit_tests_of_kind,threads)
TSAN_BUILD := CC=clang NVCC= SANITIZE=thread BUILD=$(BUILD)-tsan OPT="-O1 -g"
.PHONY: valgrind tsan tsan-tests
valgrind: ## the readers' tests under valgrind's memcheck
	@scripts/deps.sh build test valgrind
	@$(SUBMAKE) $(addprefix $(BUILD)/tests/,planted_faults $(VALGRIND_TESTS))
	@scripts/valgrind.sh $(BUILD) $(VALGRIND_TESTS)

tsan-tests: $(addprefix $(BUILD)/tests/,planted_faults $(TSAN_TESTS)) $(PROGRAM)

tsan: ## kernels, trainer, runner and timing under ThreadSanitizer (needs clang and libomp)
	@scripts/deps.sh build test tsan
	@$(SUBMAKE) $(TSAN_BUILD) tsan-tests
	@scripts/tsan.sh $(BUILD)-tsan $(TSAN_TESTS)

# Ten times the suites of the ordinary test, with its figures; minutes.
.PHONY: simulate
simulate: ## judge tens of thousands of simulated suites: coverage, false alarms, power of the verdicts
	@scripts/deps.sh build test
	@$(SUBMAKE) $(BUILD)/tests/test_verdict_simulated
	@GPTBENCH_SIMULATE=10 $(BUILD)/tests/test_verdict_simulated

.PHONY: faults
faults: ## 200 kills at random moments of a suite; every call of the system made to fail in turn (SEED=, INJECT=)
	@scripts/deps.sh build test
	@$(SUBMAKE) all $(FAULT_INJECT)
	@KILLS=200 SEED=$(SEED) bash tests/e2e/e2e_kill_many.sh $(PROGRAM)
	@FULL=1 INJECT='$(INJECT)' bash tests/e2e/e2e_inject.sh $(PROGRAM)
