/*
** replay.c: a fuzz target without libFuzzer: each file of its corpus, and what becomes of it by seeded
** changes. The same inputs on every run, so this is a test; spec/tools/run.lua runs it.
**
** replay DIRECTORY [changes]: prints "ok N", N the number of inputs. A broken promise aborts.
*/
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ROOM = 1 << 16, CHANGES = 200, FILES = 512 };

static uint32_t state = 2463534242u;

/* xorshift32 */
static uint32_t seeded(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return below ? state % below : 0;
}

static size_t slurp(const char *folder, const char *name, uint8_t *out) {
  char path[4096];
  size_t n = 0;
  FILE *file;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if ((file = fopen(path, "rb")) == NULL) return 0;
  n = fread(out, 1, ROOM, file);
  fclose(file);
  return n;
}

/* Each input lies in memory of its own size, so that a sanitizer sees a read behind it. */
static void run(const uint8_t *data, size_t n) {
  uint8_t *copy = calloc(1, n ? n : 1);
  if (copy == NULL) abort();
  memcpy(copy, data, n);
  LLVMFuzzerTestOneInput(copy, n);
  free(copy);
}

/* One change: an octet, a stretch that goes, or one that stands twice. */
static size_t change(uint8_t *data, size_t n) {
  static const uint8_t octets[] = "\r\n\t \"\\;:,<>()@=?-*%\0\1\x7F\x80\xC3\xFF";
  size_t at = seeded((uint32_t)n), length = 1 + seeded(16);
  if (n == 0) return 0;
  if (length > n - at) length = n - at;
  switch (seeded(4)) {
  case 0: data[at] = octets[seeded(sizeof octets - 1)]; return n;
  case 1: data[at] = (uint8_t)seeded(256); return n;
  case 2: memmove(data + at, data + at + length, n - at - length); return n - length;
  default:
    if (n + length > ROOM) return n;
    memmove(data + at + length, data + at, n - at);
    return n + length;
  }
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in order: the order of a folder is nobody's. */
static size_t list(const char *folder, char **names) {
  size_t count = 0;
  struct dirent *entry;
  DIR *d = opendir(folder);
  while (d && count < FILES && (entry = readdir(d)) != NULL) {
    if (entry->d_name[0] != '.' && (names[count++] = strdup(entry->d_name)) == NULL) abort();
  }
  if (d) closedir(d);
  qsort(names, count, sizeof *names, by_name);
  return count;
}

int main(int argc, char **argv) {
  static uint8_t file[ROOM], data[ROOM];
  static char *names[FILES];
  size_t i, j, inputs = 0, count = argc > 1 ? list(argv[1], names) : 0;
  size_t changes = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : CHANGES;
  run(file, 0);
  for (i = 0; i < count; i++) {
    size_t n = slurp(argv[1], names[i], file);
    run(file, n);
    for (j = 0; j < changes; j++) {
      size_t k, m = n;
      memcpy(data, file, n);
      for (k = seeded(6) + 1; k > 0; k--) m = change(data, m);
      run(data, m);
    }
    inputs += changes + 1;
    free(names[i]);
  }
  printf("ok %lu\n", (unsigned long)inputs);
  return count ? 0 : 1;
}
