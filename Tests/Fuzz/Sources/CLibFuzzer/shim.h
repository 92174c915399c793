#pragma once
/* libFuzzer as a library (llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library"). Its archive without `main` is
   linked, so that main.swift stays what it is; the compiler has no header for it. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*body)(const uint8_t *data, size_t size));
