/**
 * Support for the fuzzing harnesses. Each is one file of this folder: it defines fuzz_input(),
 * which feeds one input to a parser of the program and requires what must hold for any input.
 * libFuzzer calls it with inputs that it makes (-DCF_FUZZ=ON), tests with those of corpus/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cf/par.h"

/** The ranks, all with the same input: one for libFuzzer, any number for a test. */
extern cf_par fuzz_world;
/** This rank alone: the serial reference. */
extern const cf_par fuzz_self;

/** What the harness does with one input. Collective over fuzz_world. */
void fuzz_input(const uint8_t *data, size_t size);

/** End the process unless `condition` holds. */
#define FUZZ_REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

enum { FUZZ_FILES = 2 };
/** A file in memory with these bytes, until the next call with the same `number` (0 to FUZZ_FILES -
 * 1). Returns its path: static, of the same text on every rank. */
const char *fuzz_file(int number, const void *bytes, size_t size);

/** Require of an error what the user must get: a status for what is wrong with the input, and one
 * line of text. */
void fuzz_check_error(cf_status status);
