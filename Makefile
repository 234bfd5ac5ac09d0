# gptbench: which GPT variant is faster, by how much, at what loss, and why.
# `make help` lists the targets and the variables. Here are the flags, the sources and the program;
# mk/ has the rest, each file saying what it is for.

# CC=clang ## the C compiler, gcc otherwise
# BUILD=build ## the folder for everything that is made
# OPT="-O3 -g" ## optimisation and debugging information
# SANITIZE=address,undefined ## the sanitizers to build with; none otherwise
# PREFIX=/usr/local DESTDIR= ## where to install
# V=1 ## shows whole command lines
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=

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

ifeq ($(V),)
Q   := @
say  = @echo '  $(1)  $@'
endif

# Sources are found, not listed: a new file in a room is built without a change here.
# Of kernels/cuda, what is plain C and needs no CUDA is built and tested everywhere.
KERNEL_SRC := $(wildcard kernels/*.c kernels/cpu/*.c kernels/sensors/*.c) kernels/cuda/gemm_cache.c kernels/cuda/kernel_verdict.c kernels/cuda/activity_cupti.c kernels/cuda/cupti_library.c
ISA_SRC    := $(wildcard kernels/cpu/isa/*.c)
MODEL_SRC  := $(wildcard model/*.c)
BENCH_SRC  := $(sort $(shell find bench -name '*.c' ! -name main.c))
CUDA_SRC   := $(wildcard kernels/cuda/*.cu)
# What is compiled otherwise where the CUDA backend is in: a handful of files that ask.
ASKS_CUDA  := $(shell grep -lw GPTBENCH_CUDA $(KERNEL_SRC) $(MODEL_SRC) $(BENCH_SRC) bench/main.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
# Files in kernels/cpu/isa are compiled once per instruction set, with GB_ISA naming it.
ISAS        := generic $(if $(X86_64),avx2 avx512)
ISA_generic := $(if $(X86_64),-march=x86-64-v2,-ffp-contract=off)
ISA_avx2    := -march=x86-64-v3 -ffp-contract=fast
ISA_avx512  := -march=x86-64-v4 -ffp-contract=fast -mprefer-vector-width=512
isa_obj = $(foreach isa,$(ISAS),$(patsubst %.c,$(BUILD)/obj/%.$(isa).o,$(ISA_SRC)))

PROGRAM := $(BUILD)/gptbench

# A make started without -j still uses every core for what it builds itself.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.DEFAULT_GOAL := all

include mk/cuda.mk

LIB_OBJ := $(call obj,$(KERNEL_SRC) $(MODEL_SRC) $(BENCH_SRC)) $(isa_obj) $(CUDA_OBJ)

.PHONY: all
all: $(PROGRAM) ## build the program (default)

$(PROGRAM): $(call obj,bench/main.c) $(BUILD)/libgptbench.a $(BUILD)/gen/flags_of_link
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(call obj,bench/main.c) $(BUILD)/libgptbench.a $(LDLIBS)

$(BUILD)/libgptbench.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/gen/flags_of_c | $(BUILD)/gen/version.h
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define isa_rule
$(BUILD)/obj/kernels/cpu/isa/%.$(1).o: kernels/cpu/isa/%.c $(BUILD)/gen/flags_of_c
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

include mk/generated.mk

.PHONY: demo deps
demo: ## install what is missing, build, run suites/quick.ini, show the results
	@scripts/deps.sh build
	@$(SUBMAKE) all
	@$(PROGRAM) run suites/quick.ini

deps: ## install the packages for building, testing and linting
	@scripts/deps.sh build test lint

# ---- installation ----
INSTALL ?= install
SHARE   := $(DESTDIR)$(PREFIX)/share
INSTALLED = $(DESTDIR)$(PREFIX)/bin/gptbench $(SHARE)/man/man1/gptbench.1 \
            $(SHARE)/bash-completion/completions/gptbench $(SHARE)/zsh/site-functions/_gptbench \
            $(SHARE)/fish/vendor_completions.d/gptbench.fish

.PHONY: install uninstall
install: all ## install program, manual page and completions under PREFIX
	$(INSTALL) -Dm755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/gptbench
	$(INSTALL) -Dm644 man/gptbench.1 $(SHARE)/man/man1/gptbench.1
	$(INSTALL) -Dm644 completion/gptbench.bash $(SHARE)/bash-completion/completions/gptbench
	$(INSTALL) -Dm644 completion/_gptbench $(SHARE)/zsh/site-functions/_gptbench
	$(INSTALL) -Dm644 completion/gptbench.fish $(SHARE)/fish/vendor_completions.d/gptbench.fish

uninstall: ## remove what install put there
	rm -f $(INSTALLED)

include mk/tests.mk
include mk/fuzz.mk
include mk/simt.mk
include mk/checks.mk
include mk/perf.mk
include mk/gpu.mk

.PHONY: clean help
clean: ## remove what was built; results stay
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-cuda $(BUILD)-fuzz $(BUILD)-tsan $(BUILD)-clang

# The first line of each file is the heading of its targets.
help: ## show this list
	@awk -F ':.*## ' 'FNR == 1 { heading = NR == 1 ? "Targets" : "\n" substr($$0, 3) } \
	    /^[a-z-]+:.*## / { if (heading) print heading; heading = ""; printf "  %-14s %s\n", $$1, $$2 }' \
	    $(filter Makefile mk/%,$(MAKEFILE_LIST))
	@echo
	@echo Variables
	@awk -F '## ' '/^# [A-Z_0-9]+=.*## / { printf "  %-34s %s\n", substr($$1, 3), $$2 }' $(filter Makefile mk/%,$(MAKEFILE_LIST))

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
