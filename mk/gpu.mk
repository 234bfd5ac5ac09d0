# On a machine with a GPU, or for one
# GPU_EVIDENCE_OUT=DIR ## where gpu-check and gpu-bench put their results
GPU_BUILD = $(SUBMAKE) CUDA_ARCHS=$(if $(filter command environment,$(origin CUDA_ARCHS)),"$(CUDA_ARCHS)",native)
GPU_PROGRAMS = $(PROGRAM) $(addprefix $(BUILD)/tests/,test_conformance test_attention_bounds test_attention_full test_parity bench_gpu)
GPU_EVIDENCE_OUT = $(BUILD)/$(1)
# On the machine at hand: phases of scripts/evidence.sh alone, which says what they are.
evidence = @rm -rf $(call GPU_EVIDENCE_OUT,$@) && PYTHON=$(PYTHON) scripts/evidence.sh --build $(BUILD) --out $(call GPU_EVIDENCE_OUT,$@) $(1)

.PHONY: gpu-check gpu-bench gpu-evidence gpu-bundle
gpu-check: ## hold the CUDA backend against all that can be checked there, compute-sanitizer too
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	$(call evidence,correctness sanitizer)

gpu-bench: ## training speed beside PyTorch in turn, each op against its floor, a suite of four models
	@scripts/deps.sh build test
	@$(GPU_BUILD) $(GPU_PROGRAMS)
	$(call evidence,speed profile suite)

# One archive: nothing else need be on the other machine than a driver, and cuBLASLt.
EVIDENCE_ARCHS = $(if $(filter command environment,$(origin CUDA_ARCHS)),$(CUDA_ARCHS),90a)
gpu-evidence: ## pack evidence.sh, programs and libraries for another machine with a GPU (CUDA_ARCHS, 90a)
	@scripts/deps.sh build test
	@$(SUBMAKE) CUDA_ARCHS="$(EVIDENCE_ARCHS)" $(GPU_PROGRAMS)
	@CUDA_ARCHS="$(EVIDENCE_ARCHS)" NVCC='$(NVCC)' scripts/evidence/pack.sh $(BUILD)

gpu-bundle: gpu-evidence ## the older name of gpu-evidence
