# Checks of the sources
OWN_FILES = $(shell find . \( -path './build*' -o -path './.*' \) -prune -o \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \) -print)

.PHONY: format format-check lint
format: ## rewrite the C sources as .clang-format says
	@clang-format -i $(OWN_FILES)

format-check: ## fail when a C source is not formatted
	@clang-format --dry-run --Werror $(OWN_FILES)

lint: $(BUILD)/gen/version.h $(BUILD)/gen/schema_sql.h $(BUILD)/gen/plots_gp.h ## clang-tidy and cppcheck
	@scripts/deps.sh build lint
	@scripts/lint.sh $(BUILD)
