# What is made before anything is compiled
# The schema travels inside the program; the text of bench/store/schema.sql is the only copy.
$(BUILD)/obj/bench/store/store_open.o: $(BUILD)/gen/schema_sql.h
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
$(BUILD)/gen/plots_gp.h: $(PLOTS) $(BUILD)/gen/figure_list.h mk/generated.mk
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

# Other flags: what they go into is made again.
flags_of_c    = $(CC) | $(CPPFLAGS) | $(CFLAGS)
flags_of_link = $(CC) | $(LDFLAGS) | $(LDLIBS)
flags_of_cuda = $(NVCC) | $(NVFLAGS) | $(CUDA_OFF) | $(subst ',,$(NVTX_FLAGS) | $(CUPTI_FLAGS))
flags_of_simt = $(CXX) | $(SIMT_FLAGS) | $(SIMT_CHECK) | $(OPT)
$(addprefix $(BUILD)/gen/flags_of_,c link cuda simt): FORCE
	@mkdir -p $(@D)
	@echo '$($(@F))' > $@.new
	@$(replace_if_changed)
.PHONY: FORCE
FORCE:
