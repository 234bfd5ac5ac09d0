/* Kernels and their static shared memory, found in the symbol table of the running program. A
 * variable `tile` inside a kernel with the symbol _Z1kv has the symbol _ZZ1kvE4tile. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <map>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "simt_internal.h"

namespace simt
{

struct symbol_table {
    std::map<const void *, std::string> functions;
    std::multimap<std::string, span> locals; /* by the mangled name of their function */
};

static int load_base(dl_phdr_info *info, size_t, void *out)
{
    *(uintptr_t *)out = info->dlpi_addr;
    return 1; /* the program itself comes first */
}

/* "_ZZ1kvE4tile" belongs to "_Z1kv": every prefix that ends before an 'E' may be the function. */
static void add_local(symbol_table *table, const char *name, span where)
{
    std::string rest = name + 3;
    for (size_t e = rest.rfind('E'); e != std::string::npos && e > 0; e = rest.rfind('E', e - 1)) {
        table->locals.emplace("_Z" + rest.substr(0, e), where);
    }
}

static void read_symbols(symbol_table *table, const char *file)
{
    uintptr_t base = 0;
    dl_iterate_phdr(load_base, &base);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) {
            continue;
        }
        const Elf64_Sym *symbols = (const Elf64_Sym *)(file + sections[i].sh_offset);
        const char *strings = file + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {
            const char *name = strings + symbols[k].st_name;
            void *address = (void *)(base + symbols[k].st_value);
            int type = ELF64_ST_TYPE(symbols[k].st_info);
            if (type == STT_FUNC && symbols[k].st_value) {
                table->functions[address] = name;
            } else if (type == STT_OBJECT && strncmp(name, "_ZZ", 3) == 0) {
                add_local(table, name, span{address, symbols[k].st_size});
            }
        }
    }
}

static const symbol_table &symbols()
{
    static symbol_table *table;
    if (!table) {
        table = new symbol_table;
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) != 0) {
            die("/proc/self/exe cannot be read");
        }
        size_t size = (size_t)status.st_size;
        void *file = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        if (file == MAP_FAILED) {
            die("/proc/self/exe cannot be mapped");
        }
        read_symbols(table, (const char *)file);
        munmap(file, size);
    }
    return *table;
}

const char *name_of(const void *entry)
{
    static std::map<const void *, std::string> known;
    std::string &name = known[entry];
    if (name.empty()) {
        auto found = symbols().functions.find(entry);
        char text[32];
        snprintf(text, sizeof text, "kernel at %p", entry);
        name = found == symbols().functions.end() ? text : found->second;
        char *plain = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr);
        if (plain) {
            name = plain;
        }
        free(plain);
    }
    return name.c_str();
}

const std::vector<span> &static_shared(const void *entry)
{
    static std::map<const void *, std::vector<span>> known;
    auto cached = known.find(entry);
    if (cached != known.end()) {
        return cached->second;
    }
    std::vector<span> &variables = known[entry];
    auto function = symbols().functions.find(entry);
    if (function != symbols().functions.end()) {
        auto range = symbols().locals.equal_range(function->second);
        for (auto it = range.first; it != range.second; ++it) {
            variables.push_back(it->second);
        }
    }
    return variables;
}

size_t static_shared_bytes(const void *entry)
{
    size_t total = 0;
    for (const span &variable : static_shared(entry)) {
        total += variable.bytes;
    }
    return total;
}

} // namespace simt
