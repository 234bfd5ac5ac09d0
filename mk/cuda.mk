# CUDA: the backend's sources through nvcc, where it is found
# NVCC=/path/to/nvcc ## the CUDA compiler; NVCC= builds without the CUDA backend
# CUDA_ARCHS="80 90a" ## the GPUs to compile for: a list, `all`, or `native`
# NVTX_DIR= CUPTI_DIR= ## leave out ranges and activities, whose headers are otherwise looked for
NVCC ?= $(shell command -v nvcc 2>/dev/null)

# Headers of the CUDA toolkit that need nothing else of it: NVTX and CUPTI are in where they are found,
# with or without nvcc.
CUDA_INCLUDE := $(wildcard $(if $(NVCC),$(realpath $(dir $(NVCC))../include)) /usr/local/cuda/include /usr/include)
NVTX_DIR     ?= $(firstword $(foreach d,$(CUDA_INCLUDE),$(if $(wildcard $(d)/nvtx3/nvToolsExt.h),$(d))))
CUPTI_DIR    ?= $(firstword $(foreach d,$(foreach i,$(CUDA_INCLUDE),$(i) $(i)/../extras/CUPTI/include),$(if $(wildcard $(d)/cupti.h),$(d))))
system = $(patsubst %,-isystem %,$(filter-out /usr/include,$(wildcard $(1))))
NVTX_FLAGS   := $(if $(NVTX_DIR),$(call system,$(NVTX_DIR)) -DGB_NVTX)
CUPTI_FLAGS  := $(if $(CUPTI_DIR),$(call system,$(sort $(CUPTI_DIR) $(firstword $(CUDA_INCLUDE)))) -DGB_CUPTI -DGB_CUDA_LIBRARY_DIR='"$(abspath $(firstword $(CUDA_INCLUDE))/../lib64)"')
$(BUILD)/obj/kernels/nvtx.o: CPPFLAGS += $(NVTX_FLAGS)
$(BUILD)/obj/kernels/cuda/activity_cupti.o $(BUILD)/obj/kernels/cuda/cupti_library.o $(BUILD)/tests/test_cupti.o: CPPFLAGS += $(CUPTI_FLAGS)
$(BUILD)/tests/test_cupti: LDLIBS += $(if $(CUPTI_DIR),-lstdc++) # names of kernels are C++

# With nvcc the backend is compiled in, else it is left out and the program says why.
ifneq ($(SANITIZE),)
CUDA_OFF := sanitized builds leave it out; make test-simt sanitizes its sources
else ifeq ($(NVCC),)
CUDA_OFF := $(if $(filter command environment,$(firstword $(origin NVCC))),the program was built with NVCC= (without nvcc),nvcc was not found when the program was built)
else
$(call obj,$(ASKS_CUDA)): CPPFLAGS += -DGPTBENCH_CUDA
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
# What a change of these flags compiles again.
$(call obj,$(ASKS_CUDA) kernels/nvtx.c kernels/cuda/activity_cupti.c kernels/cuda/cupti_library.c) $(BUILD)/tests/test_cupti.o: $(BUILD)/gen/flags_of_cuda

$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/gen/flags_of_cuda
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) $(CPPFLAGS) -DGPTBENCH_CUDA $(NVFLAGS) -MMD -MP -c -o $@ $<

# What a machine with one GPU, or none, does not build by itself.
.PHONY: cuda-all cuda-objects
cuda-objects: $(CUDA_OBJ)

cuda-all: ## compile the CUDA sources for every supported GPU, warnings as errors; links and runs nothing
	@test -n '$(NVCC)' || { echo 'make cuda-all: nvcc was not found; NVCC=/path/to/nvcc says where it is' >&2; exit 1; }
	@$(SUBMAKE) SANITIZE= CUDA_ARCHS=all BUILD=$(BUILD)-cuda cuda-objects
