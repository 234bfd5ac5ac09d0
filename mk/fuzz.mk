# Fuzzing: tests/fuzz/fuzz_*.c, each an LLVMFuzzerTestOneInput, with clang's libFuzzer
# FUZZ_SECONDS=60 ## for each fuzzer
FUZZ_SECONDS ?= 60
FUZZ_SRC     := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS      := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))

$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libgptbench.a $(BUILD)/gen/flags_of_c $(BUILD)/gen/flags_of_link
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libgptbench.a $(LDLIBS)

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS)

fuzz: ## fuzz the readers of foreign files, FUZZ_SECONDS=60 each (needs clang)
	@scripts/deps.sh build
	@$(SUBMAKE) CC=clang BUILD=$(BUILD)-fuzz OPT="-O1 -g" SANITIZE=fuzzer-no-link,address,undefined fuzzers
	@scripts/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

# The same with a driver of their own, which needs no clang; tests/e2e/e2e_fuzz.sh.
REPLAYS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(FUZZ_SRC))
tests: $(REPLAYS)
.SECONDARY: $(call obj,$(FUZZ_SRC) tests/fuzz/replay.c)
$(REPLAYS): $(BUILD)/tests/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libgptbench.a $(BUILD)/gen/flags_of_link
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS)
