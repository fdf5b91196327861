#!/usr/bin/env bash
# Makes a static library that stands for a shared one: its functions open the shared library when the first of them is
# called, and jump there from then on. A program linked with it starts where the shared library is missing.
#
#   scripts/cuda-doors.sh OUT.a SONAME CODE < NAMES
#
# NAMES are the functions, one a line. Where the library or the function is missing, a call gives CODE, an error code of
# that library; a function whose name says that it gives a text gives one.
#
# Only for x86_64: the way through a door is a jump with all registers of a call as they were.
set -euo pipefail

[ $# -eq 3 ] || {
    printf 'cuda-doors: OUT.a SONAME CODE, got: %s\n' "$*" >&2
    exit 1
}
out=$1 soname=$2 code=$3
name=$(basename "$soname" | sed 's/[^A-Za-z0-9].*//')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

LC_ALL=C sort -u >"$folder/names"
[ -s "$folder/names" ] || {
    printf 'cuda-doors: no names for %s\n' "$soname" >&2
    exit 1
}

# A table of names; behind it a door for each: it jumps to what the table of places holds, which is first the way to find it.
{
    cat <<END
#include <dlfcn.h>
#include <pthread.h>

static const char* const names[] = {
$(sed 's/.*/    "&",/' "$folder/names")
};

__attribute__((visibility("hidden"))) void* ${name}_places[sizeof names / sizeof *names];

static void* library;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void open_library(void) { library = dlopen("$soname", RTLD_LAZY | RTLD_LOCAL); }

static long no_function(void) { return $code; }
static const char* no_text(void) { return "$soname is missing"; }

static int ends(const char* name, const char* ending) {
    const char *a = name, *b = ending;
    while (*a) ++a;
    while (*b) ++b;
    while (b > ending)
        if (a == name || *--a != *--b) return 0;
    return 1;
}

// Functions of the driver write their text where they are told, and give a code.
static int gives_text(const char* name) {
    if (name[0] == 'c' && name[1] == 'u' && name[2] >= 'A' && name[2] <= 'Z') return 0;
    return ends(name, "ErrorString") || ends(name, "ErrorName") || ends(name, "StatusString") || ends(name, "StatusName");
}

// Two threads that find the same place write the same value.
__attribute__((visibility("hidden"))) void* ${name}_find(unsigned long i) {
    pthread_once(&opened, open_library);
    void* place = library ? dlsym(library, names[i]) : 0;
    if (!place) place = gives_text(names[i]) ? (void*)no_text : (void*)no_function;
    __atomic_store_n(&${name}_places[i], place, __ATOMIC_RELEASE);
    return place;
}

__asm__(
    ".text\n"
    // On top of the return address lies the number of the door; the registers of the call come back as they were.
    ".p2align 4\n${name}_way:\n"
    "push %rdi\n push %rsi\n push %rdx\n push %rcx\n push %r8\n push %r9\n push %rax\n"
    "sub \$136, %rsp\n"
    "movups %xmm0, (%rsp)\n movups %xmm1, 16(%rsp)\n movups %xmm2, 32(%rsp)\n movups %xmm3, 48(%rsp)\n"
    "movups %xmm4, 64(%rsp)\n movups %xmm5, 80(%rsp)\n movups %xmm6, 96(%rsp)\n movups %xmm7, 112(%rsp)\n"
    "mov 192(%rsp), %rdi\n"
    "call ${name}_find\n"
    "mov %rax, %r11\n"
    "movups (%rsp), %xmm0\n movups 16(%rsp), %xmm1\n movups 32(%rsp), %xmm2\n movups 48(%rsp), %xmm3\n"
    "movups 64(%rsp), %xmm4\n movups 80(%rsp), %xmm5\n movups 96(%rsp), %xmm6\n movups 112(%rsp), %xmm7\n"
    "add \$136, %rsp\n"
    "pop %rax\n pop %r9\n pop %r8\n pop %rcx\n pop %rdx\n pop %rsi\n pop %rdi\n"
    "add \$8, %rsp\n"
    "jmp *%r11\n"
END
    awk -v n="$name" '{
        i = NR - 1
        printf "    \".p2align 4\\n.globl %s\\n.hidden %s\\n.type %s,@function\\n%s:\\n mov %s_places+%d(%%rip), %%r11\\n", $1, $1, $1, $1, n, 8 * i
        printf " test %%r11, %%r11\\n jz 1f\\n jmp *%%r11\\n1: pushq $%d\\n jmp %s_way\\n\"\n", i, n
    }' "$folder/names"
    printf '    ".section .note.GNU-stack,\\"\\",@progbits\\n.text\\n");\n'
} >"$folder/doors.c"

${CC:-cc} -O2 -fPIC -c -o "$folder/$name.o" "$folder/doors.c"
rm -f "$out"
${AR:-ar} rcs "$out" "$folder/$name.o"
