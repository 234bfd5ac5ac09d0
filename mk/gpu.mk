# On a machine with a GPU
GPU_BUILD = $(SUBMAKE) CUDA_ARCHS=$(if $(filter command environment,$(origin CUDA_ARCHS)),"$(CUDA_ARCHS)",native)
GPU_PROGRAMS = $(PROGRAM) $(addprefix $(BUILD)/tests/,test_conformance test_parity bench_gpu)

.PHONY: gpu-check gpu-bench gpu-bundle
gpu-check: ## hold the CUDA backend against all that can be checked there
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	@scripts/gpu_check.sh $(BUILD)

gpu-bench: ## training speed, each op against its floor, PyTorch in turn
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	@PYTHON=$(PYTHON) scripts/gpu_bench.sh $(BUILD)

gpu-bundle: ## pack the programs and libraries for gpu-check and gpu-bench on another machine
	@scripts/deps.sh build test
	@$(SUBMAKE) $(GPU_PROGRAMS)
	@scripts/gpu_bundle.sh $(BUILD)
