# gptbench: which GPT variant is faster, by how much, at what loss, and why.
# `make help` lists the targets and the variables.

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=
NVCC     ?= $(shell command -v nvcc 2>/dev/null)

VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(shell test -z "`git status --porcelain 2>/dev/null`" || echo +)

WARN     := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
OPT      ?= -O3 -g
# clang warns where a loop marked simd stays scalar, as many do at -O1; gcc has no such warning.
ifneq ($(findstring clang,$(shell $(CC) --version 2>/dev/null)),)
WARN     += -Wno-pass-failed
endif
# What CC makes code for. Kernels for its vectors, and oneDNN for its products of bfloat16, are in on
# x86-64; elsewhere the CPU backend has the generic kernels alone.
X86_64   := $(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null))
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE
CFLAGS   += -std=c17 $(WARN) $(OPT) -fopenmp -fno-math-errno -fno-trapping-math
LDFLAGS  += -fopenmp
LDLIBS   += -linih -lsqlite3 $(if $(X86_64),-ldnnl) -ljansson -lpcre2-8 -lxxhash -ldl -lm
ifneq ($(SANITIZE),)
CFLAGS   += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SANITIZE)
endif

# `make V=1` shows whole command lines.
ifeq ($(V),)
Q   := @
say  = @echo '  $(1)  $@'
endif

# Sources are found, not listed: a new file in a room is built without a change here.
# Of kernels/cuda, what is plain C and needs no CUDA is built and tested everywhere.
KERNEL_SRC := $(wildcard kernels/*.c kernels/cpu/*.c kernels/sensors/*.c) kernels/cuda/gemm_cache.c kernels/cuda/activity_cupti.c
ISA_SRC    := $(wildcard kernels/cpu/isa/*.c)
MODEL_SRC  := $(wildcard model/*.c)
BENCH_SRC  := $(sort $(shell find bench -name '*.c' ! -name main.c))
REF_SRC    := $(wildcard tests/ref/*.c)
TEST_SRC   := $(wildcard tests/unit/*/test_*.c)
CUDA_SRC   := $(wildcard kernels/cuda/*.cu)
# The table needs all of its ops.
ifeq ($(and $(wildcard kernels/cuda/cuda_backend.cu),$(wildcard kernels/cuda/attention_dispatch.cu)),)
CUDA_SRC   :=
endif
OWN_FILES  := $(shell find bench kernels model tests scripts -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp')

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
# Files in kernels/cpu/isa are compiled once per instruction set, with GB_ISA naming it.
ISAS        := generic $(if $(X86_64),avx2 avx512)
ISA_generic := $(if $(X86_64),-march=x86-64-v2,-ffp-contract=off)
ISA_avx2    := -march=x86-64-v3 -ffp-contract=fast
ISA_avx512  := -march=x86-64-v4 -ffp-contract=fast -mprefer-vector-width=512
isa_obj = $(foreach isa,$(ISAS),$(patsubst %.c,$(BUILD)/obj/%.$(isa).o,$(ISA_SRC)))

# Headers of the CUDA toolkit that need nothing else of it: NVTX and CUPTI are in where they are found,
# with or without nvcc. `make NVTX_DIR=`, `make CUPTI_DIR=` leave them out.
CUDA_INCLUDE := $(wildcard $(if $(NVCC),$(realpath $(dir $(NVCC))../include)) /usr/local/cuda/include /usr/include)
NVTX_DIR     ?= $(firstword $(foreach d,$(CUDA_INCLUDE),$(if $(wildcard $(d)/nvtx3/nvToolsExt.h),$(d))))
CUPTI_DIR    ?= $(firstword $(foreach d,$(foreach i,$(CUDA_INCLUDE),$(i) $(i)/../extras/CUPTI/include),$(if $(wildcard $(d)/cupti.h),$(d))))
system = $(patsubst %,-isystem %,$(filter-out /usr/include,$(wildcard $(1))))
NVTX_FLAGS   := $(if $(NVTX_DIR),$(call system,$(NVTX_DIR)) -DGB_NVTX)
CUPTI_FLAGS  := $(if $(CUPTI_DIR),$(call system,$(sort $(CUPTI_DIR) $(firstword $(CUDA_INCLUDE)))) -DGB_CUPTI -DGB_CUDA_LIBRARY_DIR='"$(abspath $(firstword $(CUDA_INCLUDE))/../lib64)"')
$(BUILD)/obj/kernels/nvtx.o: CPPFLAGS += $(NVTX_FLAGS)
$(BUILD)/obj/kernels/cuda/activity_cupti.o: CPPFLAGS += $(CUPTI_FLAGS)
$(BUILD)/tests/test_cupti: CPPFLAGS += $(CUPTI_FLAGS)
$(BUILD)/tests/test_cupti: LDLIBS += $(if $(CUPTI_DIR),-lstdc++) # names of kernels are C++

# CUDA registers here: with nvcc and sources the backend is compiled in, else it is left out and
# the program says why.
ifneq ($(SIMT),)
# The CUDA backend as host C++ on the emulator in tests/simt; only `make test-simt` asks for that.
CPPFLAGS   += -DGPTBENCH_CUDA
SIMT_SRC   := $(wildcard tests/simt/simt_*.cpp)
SIMT_OBJ   := $(patsubst %.cpp,$(BUILD)/obj/%.o,$(SIMT_SRC))
CUDA_OBJ   := $(patsubst %.cu,$(BUILD)/obj/%.cu.o,$(CUDA_SRC)) $(SIMT_OBJ)
SIMT_FLAGS := -std=c++17 -DGB_SIMT -Itests/simt/include -Wall -Werror -Wno-unknown-pragmas -fno-strict-aliasing
# The emulator is a source of activities itself, and hands them to CUPTI's where a test asks for that.
$(BUILD)/obj/kernels/cuda/activity_cupti.o: CPPFLAGS += $(foreach f,start push pop now_ns stop describe,-Dactivity_source_$(f)=cupti_source_$(f))
SIMT_CHECK := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize=vptr -fno-omit-frame-pointer -fno-sanitize-recover=all)
LDLIBS     += -lstdc++
else ifeq ($(CUDA_SRC),)
CUDA_OFF := this version has no CUDA kernels
else ifneq ($(SANITIZE),)
CUDA_OFF := sanitized builds leave it out; make test-simt sanitizes its sources
else ifeq ($(NVCC),)
CUDA_OFF := nvcc was not found when the program was built
else
CPPFLAGS   += -DGPTBENCH_CUDA
CUDA_OBJ   := $(patsubst %.cu,$(BUILD)/obj/%.cu.o,$(CUDA_SRC)) $(BUILD)/obj/kernels/cuda/cublaslt_loader.o
CUDA_HOME  := $(realpath $(dir $(NVCC))..)
# Machine code for each of CUDA_ARCHS, and portable code (PTX) for every GPU from sm_80 on.
CUDA_ARCHS ?= 80 90a
# `native` is the GPUs of this machine, or the default where none is.
CUDA_NATIVE = $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -u | sed 's/^90$$/90a/')
ifeq ($(CUDA_ARCHS),native)
CUDA_LIST  := $(or $(CUDA_NATIVE),80 90a)
else
CUDA_LIST  := $(if $(filter all,$(CUDA_ARCHS)),75 80 86 89 90a 100 120,$(CUDA_ARCHS))
endif
NVFLAGS    ?= -O3 -lineinfo
NVFLAGS    += -std=c++17 -Werror all-warnings -Xcompiler -Wall,-Wextra \
              $(foreach a,$(CUDA_LIST),-gencode arch=compute_$(a),code=sm_$(a)) -gencode arch=compute_80,code=compute_80
LDFLAGS    += -L$(CUDA_HOME)/lib64
LDLIBS     += -lcudart_static -ldl -lrt -lpthread -lstdc++
# cuBLASLt is loaded when a GPU is used, not linked.
$(BUILD)/obj/kernels/cuda/cublaslt_loader.o: CPPFLAGS += -isystem $(CUDA_HOME)/include -DGB_CUDA_LIBRARY_DIR='"$(CUDA_HOME)/lib64"'
endif

LIB_OBJ := $(call obj,$(KERNEL_SRC) $(MODEL_SRC) $(BENCH_SRC)) $(isa_obj) $(CUDA_OBJ)
PROGRAM := $(BUILD)/gptbench
TESTS   := $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(TEST_SRC)))
# Of `make bench-db`, `make bench-peers` and `make bench-switches`; tests/e2e/e2e_peers.sh tries them out.
BENCH_TOOLS := $(addprefix $(BUILD)/tests/,bench_db bench_peer peer_table switch_table)

# A make started without -j still uses every core for what it builds itself.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.DEFAULT_GOAL := all
.PHONY: all
all: $(PROGRAM) ## build the program (default)

$(PROGRAM): $(call obj,bench/main.c) $(BUILD)/libgptbench.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libgptbench.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/version.h
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define isa_rule
$(BUILD)/obj/kernels/cpu/isa/%.$(1).o: kernels/cpu/isa/%.c $(BUILD)/gen/flags
	@mkdir -p $$(@D)
	$$(call say,CC  )
	$$(Q)$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(ISA_$(1)) -DGB_ISA=$(1) -DGB_ISA_$(1)=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))
# Fused multiply-adds, where a machine has them in its generic code, for the product alone: in attention
# they leave 1e-8 where a gradient is zero, of which AdamW makes a whole step.
$(if $(X86_64),,$(BUILD)/obj/kernels/cpu/isa/product.generic.o: ISA_generic := -ffp-contract=fast)
# Used where the CPU has them too.
$(BUILD)/obj/kernels/cpu/isa/attention_bf16.avx512.o $(BUILD)/obj/kernels/cpu/isa/bf16_rate.avx512.o: ISA_avx512 += -mavx512bf16

ifneq ($(SIMT),)
$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,CXX )
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -x c++ -c -o $@ $<

# The emulator checks others and is not itself instrumented: that would double its time.
$(SIMT_OBJ): $(BUILD)/obj/%.o: %.cpp $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,CXX )
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) -O2 -g -MMD -MP -c -o $@ $<

# What the emulator itself hands its activities to.
SIMT_USES := $(call obj,kernels/attribution.c kernels/ledger.c kernels/cuda/activity_cupti.c)
$(addprefix $(BUILD)/tests/,test_simt test_simt_hopper): $(BUILD)/tests/%: tests/simt/%.cpp $(SIMT_OBJ) $(SIMT_USES)
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -MF $@.d -o $@ $< $(SIMT_OBJ) $(SIMT_USES) -lcmocka -ldl

# Tests that look into the CUDA backend, or change what the emulator pretends.
$(BUILD)/tests/test_cuda_%: tests/simt/test_cuda_%.cpp $(call obj,$(REF_SRC)) $(BUILD)/libgptbench.a $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CXX) $(CPPFLAGS) $(SIMT_FLAGS) $(OPT) $(SIMT_CHECK) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(call obj,$(REF_SRC)) $(BUILD)/libgptbench.a -lcmocka $(LDLIBS)
else
$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) $(CPPFLAGS) $(NVFLAGS) -MMD -MP -c -o $@ $<
endif

# The schema travels inside the program; the text of bench/store/schema.sql is the only copy.
$(BUILD)/obj/bench/store/migrations.o: $(BUILD)/gen/schema_sql.h
$(BUILD)/gen/schema_sql.h: bench/store/schema.sql
	@mkdir -p $(@D)
	@{ echo 'static const char schema_sql[] = {'; od -An -v -tx1 $< | sed 's/ /,0x/g; s/^,//; s/$$/,/'; \
	  echo '0};'; } > $@

# The figures of the report are found; bench/report/figures/figure.h says how to add one.
FIGURES := $(patsubst bench/report/figures/fig_%.c,%,$(filter bench/report/figures/fig_%.c,$(BENCH_SRC)))
$(BUILD)/gen/figure_list.h: FORCE
	@mkdir -p $(@D)
	@echo '#define FIGURE_LIST(each) $(foreach f,$(FIGURES),each($f))' > $@.new
	@$(replace_if_changed)

# Their gnuplot scripts travel inside the program as the schema does.
PLOTS := $(sort $(wildcard plots/*.gp))
$(BUILD)/obj/bench/report/figures/figures.o: $(BUILD)/gen/plots_gp.h
$(BUILD)/gen/plots_gp.h: $(PLOTS) $(BUILD)/gen/figure_list.h Makefile
	@mkdir -p $(@D)
	@{ for f in $(PLOTS); do echo "static const unsigned char plot_$$(basename $$f .gp)[] = {"; \
	    od -An -v -tx1 $$f | sed 's/ /,0x/g; s/^,//; s/$$/,/'; echo '0};'; done; \
	  echo 'static const struct { const char *name; const unsigned char *text; } plot_scripts[] = {'; \
	  for f in $(PLOTS); do n=$$(basename $$f .gp); echo "    {\"$$n.gp\", plot_$$n},"; done; echo '};'; } > $@

# What computes: a hash of the sources of the kernels and the model. It is part of a run's identity,
# so that a change there makes runs be done again, and a change of the report does not. Sources that
# were shown to compute what earlier ones did go by the hash of those, which SAME_CODE names.
SAME_CODE    := model/same_code.txt
SOURCES_CODE := $(shell cat $(sort $(wildcard $(foreach d,kernels kernels/cpu kernels/cpu/isa kernels/cuda model,$(d)/*.c $(d)/*.h $(d)/*.cu $(d)/*.cuh))) | sha256sum | cut -c1-16)
CODE := $(or $(shell awk '$$1 == "$(SOURCES_CODE)" { print $$2; exit }' $(SAME_CODE)),$(SOURCES_CODE))

.PHONY: code
code: ## print the hash of the sources of kernels/ and model/, and the one that their runs go by
	@echo 'sources $(SOURCES_CODE)'
	@echo 'runs    $(CODE)'

# Generated files are replaced only when their text changes, so that what depends on them is
# rebuilt exactly then.
replace_if_changed = cmp -s $@ $@.new && rm $@.new || mv $@.new $@
$(BUILD)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@{ echo '#define GPTBENCH_VERSION "$(VERSION)"'; echo '#define GPTBENCH_CODE "$(CODE)"'; echo '#define GPTBENCH_COMMIT "$(COMMIT)"'; \
	   echo '#define GPTBENCH_CUDA_OFF_REASON "$(CUDA_OFF)"'; } > $@.new
	@$(replace_if_changed)

# Other compiler, other flags: everything is compiled again.
$(BUILD)/gen/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CXX) | $(CPPFLAGS) | $(CFLAGS) | $(LDFLAGS) | $(LDLIBS) | $(NVCC) $(NVFLAGS) | $(SIMT_FLAGS) | $(subst ',,$(NVTX_FLAGS) | $(CUPTI_FLAGS))' > $@.new
	@$(replace_if_changed)
.PHONY: FORCE
FORCE:

# ---- tests: their programs lie in one folder, whatever room they come from ----
vpath %.c $(sort $(dir $(TEST_SRC))) tests/perf tests/fakes
$(BUILD)/tests/%: %.c $(call obj,$(REF_SRC)) $(BUILD)/libgptbench.a $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(call obj,$(REF_SRC)) $(BUILD)/libgptbench.a -lcmocka $(LDLIBS)

# Stand-ins for NVIDIA's management library, of today and of long ago; loaded, not linked.
FAKE_NVML := $(BUILD)/tests/fake_nvml.so $(BUILD)/tests/fake_nvml_old.so
$(BUILD)/tests/fake_nvml_old.so: FAKE_FLAGS := -DFAKE_NVML_OLD
$(FAKE_NVML): tests/fakes/fake_nvml.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARN) -O1 $(FAKE_FLAGS) -shared -fPIC -o $@ $<

# A wall clock that goes backwards; loaded before all else.
FAKE_CLOCK := $(BUILD)/tests/fake_clock.so
$(FAKE_CLOCK): tests/fakes/fake_clock.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARN) -O1 -shared -fPIC -o $@ $< -ldl

# A listener for NVTX, which NVTX loads, and a stand-in for CUPTI; where their headers are.
FAKE_CUDA := $(if $(NVTX_DIR),$(BUILD)/tests/fake_nvtx.so) $(if $(CUPTI_DIR),$(BUILD)/tests/fake_cupti.so)
$(BUILD)/tests/fake_nvtx.so: FAKE_FLAGS := $(NVTX_FLAGS)
$(BUILD)/tests/fake_cupti.so: FAKE_FLAGS := $(CUPTI_FLAGS)
$(BUILD)/tests/fake_cupti.so: tests/fakes/fake_cupti.h
$(BUILD)/tests/fake_nvtx.so $(BUILD)/tests/fake_cupti.so: $(BUILD)/tests/%.so: tests/fakes/%.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) -D_GNU_SOURCE -I. -std=c17 $(WARN) -O1 $(FAKE_FLAGS) -shared -fPIC -o $@ $<

# Preloaded by the tests of faults: the system's refusals, one at a time.
FAULT_INJECT := $(BUILD)/tests/fault_inject.so
$(FAULT_INJECT): tests/fakes/fault_inject.c
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARN) -O1 -g -ftls-model=initial-exec -shared -fPIC -o $@ $< -ldl

.SECONDARY: $(call obj,$(REF_SRC)) # not to be removed after linking

# The fuzzers of tests/fuzz with a driver of their own, which needs no clang; tests/e2e/e2e_fuzz.sh.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
REPLAYS  := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(FUZZ_SRC))
$(REPLAYS): $(BUILD)/tests/%: tests/fuzz/%.c tests/fuzz/replay.c $(BUILD)/libgptbench.a $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< tests/fuzz/replay.c $(BUILD)/libgptbench.a $(LDLIBS)

.PHONY: tests
tests: $(TESTS) $(REPLAYS) $(BENCH_TOOLS) $(FAKE_NVML) $(FAKE_CLOCK) $(FAKE_CUDA) $(FAULT_INJECT) $(PROGRAM) ## build the tests

# Without any optimisation the sanitized tests would take several times as long.
ASAN_BUILD := SANITIZE=address,undefined BUILD=$(BUILD)-asan OPT="-O1 -g"

.PHONY: test
test: ## install what is missing, build, run every test, also under sanitizers and emulated CUDA
	@scripts/deps.sh build test
	@$(SUBMAKE) tests
	@$(SUBMAKE) $(ASAN_BUILD) tests
	@$(SUBMAKE) $(SIMT_BUILD) simt-tests
	@tests/run_tests.sh --simt $(BUILD)-simt $(BUILD) $(BUILD)-asan

.PHONY: test-asan
test-asan: ## the unit and end-to-end tests under address and undefined-behaviour sanitizers
	@scripts/deps.sh build test
	@$(SUBMAKE) $(ASAN_BUILD) tests
	@tests/run_tests.sh $(BUILD)-asan

# What reads files of others, tests that fork left out: memcheck is slow.
VALGRIND_TESTS := test_table test_plain_text test_checked test_cli test_suite test_suite_errors test_safetensors test_shard test_report_json
# What has threads, and what starts and hears processes.
TSAN_TESTS := test_cpu_kernels test_backends test_trainer test_runner test_timing_pool test_loader test_parallel
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

# The CUDA backend without a GPU: its sources as host C++ on the emulator in tests/simt.
SIMT_BUILD := SIMT=1 $(subst -asan,-simt,$(ASAN_BUILD))
SIMT_TESTS := test_simt test_simt_hopper $(if $(CUDA_SRC),test_cuda_gemm test_cuda_classifier test_backends test_conformance test_parity test_trainer test_checkpoint)

.PHONY: test-simt simt-tests
simt-tests: $(addprefix $(BUILD)/tests/,$(SIMT_TESTS) bench_gpu) $(FAKE_NVML) $(FAKE_CUDA) $(PROGRAM)

test-simt: ## the CUDA backend on an emulator, under sanitizers; needs no GPU
	@scripts/deps.sh build test
	@$(SUBMAKE) $(SIMT_BUILD) simt-tests
	@tests/run_tests.sh --simt $(BUILD)-simt

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

# One mutant: the CUDA sources below MUTANT instead of ours; tests/mutation/mutations.sh makes them.
absolute = $(foreach word,$(1),$(if $(filter -I%,$(word)),-I$(abspath $(patsubst -I%,%,$(word))),$(word)))
.PHONY: mutant mutations
mutant:
	$(Q)cd $(MUTANT) && for f in $$(find . -name '*.cu'); do \
	    $(CXX) -I. $(call absolute,$(CPPFLAGS) $(SIMT_FLAGS)) \
	        -w -I$(CURDIR) $(OPT) $(SIMT_CHECK) -x c++ -c -o $$f.o $$f || exit; done
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $(MUTANT)/test_conformance tests/unit/kernels/test_conformance.c \
	    $(call obj,$(REF_SRC)) $$(find $(MUTANT) -name '*.cu.o') $(BUILD)/libgptbench.a -lcmocka $(LDLIBS)

mutations: ## put mistakes into the CUDA kernels, one at a time: do the tests catch each?
	@scripts/deps.sh build test
	@$(SUBMAKE) $(SIMT_BUILD) simt-tests
	@tests/mutation/mutations.sh $(BUILD)-simt $(MUTANTS)

# ---- on a machine with a GPU ----
GPU_BUILD = $(SUBMAKE) CUDA_ARCHS=$(if $(filter command environment,$(origin CUDA_ARCHS)),"$(CUDA_ARCHS)",native)
GPU_PROGRAMS = $(PROGRAM) $(addprefix $(BUILD)/tests/,test_conformance test_parity bench_gpu)

.PHONY: gpu-check gpu-bench gpu-bundle
gpu-check: ## on a machine with a GPU: hold the CUDA backend against all that can be checked there
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	@scripts/gpu_check.sh $(BUILD)

gpu-bench: ## on a machine with a GPU: training speed, each op against its floor, PyTorch in turn
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	@PYTHON=$(PYTHON) scripts/gpu_bench.sh $(BUILD)

gpu-bundle: ## pack the programs and libraries for gpu-check and gpu-bench on another machine
	@scripts/deps.sh build test
	@$(SUBMAKE) $(GPU_PROGRAMS)
	@scripts/gpu_bundle.sh $(BUILD)

# What a machine with one GPU, or none, does not build by itself.
.PHONY: cuda-all cuda-objects
cuda-objects: $(CUDA_OBJ)

cuda-all: ## compile the CUDA sources for every supported GPU, warnings as errors; links and runs nothing
	@test -n '$(NVCC)' || { echo 'make cuda-all: nvcc was not found; NVCC=/path/to/nvcc says where it is' >&2; exit 1; }
	@$(SUBMAKE) SANITIZE= SIMT= CUDA_ARCHS=all BUILD=$(BUILD)-cuda cuda-objects

# ---- speed ----
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

# ---- fuzzing: tests/fuzz/fuzz_*.c, each an LLVMFuzzerTestOneInput, with clang's libFuzzer ----
FUZZ_SECONDS ?= 60
FUZZERS      := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))

$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libgptbench.a $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libgptbench.a $(LDLIBS)

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS)

fuzz: ## fuzz the readers of foreign files, FUZZ_SECONDS=60 each (needs clang)
	@scripts/deps.sh build
	@$(SUBMAKE) CC=clang BUILD=$(BUILD)-fuzz OPT="-O1 -g" SANITIZE=fuzzer-no-link,address,undefined fuzzers
	@scripts/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

.PHONY: demo
demo: ## install what is missing, build, run suites/quick.ini, show the results
	@scripts/deps.sh build
	@$(SUBMAKE) all
	@$(PROGRAM) run suites/quick.ini

.PHONY: deps
deps: ## install the packages for building, testing and linting
	@scripts/deps.sh build test lint

# ---- checks ----
.PHONY: format format-check lint
format: ## rewrite the C sources as .clang-format says
	@clang-format -i $(OWN_FILES)

format-check: ## fail when a C source is not formatted
	@clang-format --dry-run --Werror $(OWN_FILES)

lint: $(BUILD)/gen/version.h $(BUILD)/gen/schema_sql.h $(BUILD)/gen/plots_gp.h ## clang-tidy and cppcheck
	@scripts/deps.sh build lint
	@scripts/lint.sh $(BUILD)

# ---- installation ----
INSTALL ?= install
SHARE   := $(DESTDIR)$(PREFIX)/share
INSTALLED = $(DESTDIR)$(PREFIX)/bin/gptbench $(SHARE)/man/man1/gptbench.1 \
            $(SHARE)/bash-completion/completions/gptbench $(SHARE)/zsh/site-functions/_gptbench

.PHONY: install uninstall
install: all ## install program, manual page and completions under PREFIX
	$(INSTALL) -Dm755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/gptbench
	$(INSTALL) -Dm644 man/gptbench.1 $(SHARE)/man/man1/gptbench.1
	$(INSTALL) -Dm644 completion/gptbench.bash $(SHARE)/bash-completion/completions/gptbench
	$(INSTALL) -Dm644 completion/_gptbench $(SHARE)/zsh/site-functions/_gptbench

uninstall: ## remove what install put there
	rm -f $(INSTALLED)

.PHONY: clean help
clean: ## remove what was built; results stay
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-simt $(BUILD)-cuda $(BUILD)-fuzz $(BUILD)-tsan $(BUILD)-clang

help: ## show this list
	@echo 'targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'variables: CC=gcc|clang  BUILD=build  OPT="-O3 -g"  SANITIZE=address,undefined  CUDA_ARCHS="80 90a"|all|native  NVCC=  PREFIX=/usr/local  DESTDIR=  V=1'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
