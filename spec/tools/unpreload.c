/*
** The last entry of LD_PRELOAD in a sanitized run. ASan must be the first library of an interpreter that was
** not built with it, but not of the shells and mail servers that a spec starts: this takes the variable out of
** the environment as soon as the process itself is loaded. Not part of the library.
*/
#define _POSIX_C_SOURCE 200112L
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void) {
  unsetenv("LD_PRELOAD");
}
