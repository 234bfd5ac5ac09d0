# The CUDA backend without a GPU: its sources as host C++ on the emulator in tests/simt
# A second program, $(BUILD)/simt/gptbench, beside the one without CUDA: most of its objects are the
# same, and only what differs is compiled for it. All of it is built with SANITIZE=, as make test does.
SIMT       := $(BUILD)/simt
SIMT_C     := $(ASKS_CUDA) kernels/cuda/activity_cupti.c
simt_obj    = $(patsubst %.c,$(SIMT)/obj/%.o,$(1))
SIMT_OBJ   := $(patsubst %.cpp,$(SIMT)/obj/%.o,$(wildcard tests/simt/simt_*.cpp))
SIMT_CUDA  := $(patsubst %.cu,$(SIMT)/obj/%.cu.o,$(CUDA_SRC))
SIMT_FLAGS := -std=c++17 -DGB_SIMT -DGPTBENCH_CUDA -Itests/simt/include -Wall -Werror -Wno-unknown-pragmas -fno-strict-aliasing
SIMT_CHECK := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize=vptr -fno-omit-frame-pointer -fno-sanitize-recover=all)

$(SIMT)/obj/%.o: %.c $(BUILD)/gen/flags_of_c $(BUILD)/gen/flags_of_cuda | $(BUILD)/gen/version.h
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(CPPFLAGS) -DGPTBENCH_CUDA $(CFLAGS) -MMD -MP -c -o $@ $<
# The emulator is a source of activities itself, and hands them to CUPTI's where a test asks for that.
$(SIMT)/obj/kernels/cuda/activity_cupti.o: CPPFLAGS += $(CUPTI_FLAGS) \
    $(foreach f,start push pop now_ns stop describe,-Dactivity_source_$(f)=cupti_source_$(f))

$(SIMT)/obj/%.cu.o: %.cu $(BUILD)/gen/flags_of_simt
	@mkdir -p $(@D)
	$(call say,CXX )
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -x c++ -c -o $@ $<

# The emulator checks others and is not itself instrumented: that would double its time.
$(SIMT_OBJ): $(SIMT)/obj/%.o: %.cpp $(BUILD)/gen/flags_of_simt
	@mkdir -p $(@D)
	$(call say,CXX )
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) -O2 -g -MMD -MP -c -o $@ $<

$(SIMT)/libgptbench.a: $(filter-out $(CUDA_OBJ) $(call obj,$(SIMT_C)),$(LIB_OBJ)) \
        $(call simt_obj,$(filter-out bench/main.c,$(SIMT_C))) $(SIMT_CUDA) $(SIMT_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

SIMT_PROGRAM := $(SIMT)/gptbench
$(SIMT_PROGRAM): $(call simt_obj,bench/main.c) $(SIMT)/libgptbench.a $(BUILD)/gen/flags_of_link
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS) -lstdc++

# ---- tests ----
# Of the emulator itself; it needs no more than what it hands its activities to.
SIMT_SELF := $(addprefix $(SIMT)/tests/,test_simt test_simt_hopper)
$(SIMT_SELF): $(SIMT)/tests/%: tests/simt/%.cpp $(SIMT_OBJ) $(call obj,kernels/attribution.c kernels/replay_nodes.c kernels/ledger.c kernels/cuda/cupti_library.c) \
        $(SIMT)/obj/kernels/cuda/activity_cupti.o $(BUILD)/gen/flags_of_simt
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -MF $@.d -o $@ $< $(filter %.o,$^) -lcmocka -ldl

# Tests that look into the CUDA backend, or change what the emulator pretends.
$(SIMT)/tests/test_cuda_%: tests/simt/test_cuda_%.cpp $(REF_OBJ) $(SIMT)/libgptbench.a $(BUILD)/gen/flags_of_simt
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(filter %.o %.a,$^) -lcmocka $(LDLIBS) -lstdc++

# Unit tests that every backend has to pass, and the benchmark of ops.
$(SIMT)/tests/%: $(BUILD)/tests/%.o $(REF_OBJ) $(SIMT)/libgptbench.a $(BUILD)/gen/flags_of_link
	@mkdir -p $(@D)
	$(call say,TEST)
	$(LINK_TEST) -lstdc++

SIMT_FAKES := $(patsubst $(BUILD)/%,$(SIMT)/%,$(FAKE_NVML) $(FAKE_CUDA))
$(SIMT_FAKES): $(SIMT)/%: $(BUILD)/%
	@mkdir -p $(@D)
	@ln -sf ../../tests/$(@F) $@

SIMT_TESTS := $(basename $(notdir $(wildcard tests/simt/test_*.cpp))) $(call unit_tests_of_kind,emulated)
.PHONY: test-simt simt-tests
simt-tests: $(addprefix $(SIMT)/tests/,$(SIMT_TESTS) bench_gpu) $(SIMT_FAKES) $(SIMT_PROGRAM)

test-simt: ## the CUDA backend on an emulator, under sanitizers; needs no GPU
	@scripts/deps.sh build test
	@$(SUBMAKE) $(ASAN_BUILD) simt-tests
	@tests/run_tests.sh --simt $(BUILD)-asan/simt

# One mutant: the CUDA sources below MUTANT instead of ours; tests/mutation/mutations.sh makes them.
absolute = $(foreach word,$(1),$(if $(filter -I%,$(word)),-I$(abspath $(patsubst -I%,%,$(word))),$(word)))
.PHONY: mutant mutations
mutant:
	$(Q)cd $(MUTANT) && for f in $$(find . -name '*.cu'); do \
	    $(CXX) -I. $(call absolute,$(CPPFLAGS) $(SIMT_FLAGS)) \
	        -w -I$(CURDIR) $(OPT) $(SIMT_CHECK) -x c++ -c -o $$f.o $$f || exit; done
	$(Q)$(CC) $(LDFLAGS) -o $(MUTANT)/test_conformance $(BUILD)/tests/test_conformance.o \
	    $(REF_OBJ) $$(find $(MUTANT) -name '*.cu.o') $(SIMT)/libgptbench.a -lcmocka $(LDLIBS) -lstdc++

mutations: ## put mistakes into the CUDA kernels, one at a time: do the tests catch each?
	@scripts/deps.sh build test
	@$(SUBMAKE) $(ASAN_BUILD) simt-tests
	@tests/mutation/mutations.sh $(BUILD)-asan/simt $(MUTANTS)
