/* The ceiling of IMAP: one command, its whole answer received and thrown away; plain, or through
** OpenSSL memory BIOs.
**
** Options: port= user= password= tls=1 n= (messages, for the result line) fetch= (what stands
** behind UID FETCH) record=FILE: keeps the untagged part of the answer, which the isolated parsing
** workload replays.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "link.h"

#define TAG "Z9 "

/* Is the line that ends at `end` the answer's last? Literals in the corpus hold no such line. */
static bool finished(const char *start, const char *end) {
  const char *line;
  if (end - start < 2 || end[-1] != '\n') return false;
  line = memrchr(start, '\n', (size_t)(end - start - 1));
  line = line == NULL ? start : line + 1;
  return memcmp(line, TAG, sizeof TAG - 1) == 0;
}

/* Receives until the tagged line is in; returns the octets, gives what came to `record` where that
** is not NULL. */
static size_t discard(FILE *record) {
  static char room[BENCH_TAIL + BENCH_READ];
  char *const data = room + BENCH_TAIL;
  size_t octets = 0, n, tail = 0;
  for (;;) {
    n = bench_get(data, BENCH_READ);
    octets += n;
    if (record != NULL) fwrite(data, 1, n, record);
    if (finished(data - tail, data + n)) return octets;
    tail = n > BENCH_TAIL ? BENCH_TAIL : n;
    memmove(data - tail, data + n - tail, tail);
  }
}

static void greeting(void) {
  char line[2048];
  size_t n = 0;
  while (n == 0 || line[n - 1] != '\n') n += bench_get(line + n, sizeof line - n);
}

static void run(const char *format, const char *a, const char *b) {
  char command[512];
  snprintf(command, sizeof command, format, a, b);
  bench_put(command, strlen(command));
  discard(NULL);
}

int main(int argc, char **argv) {
  char command[512], extra[64];
  const char *file = bench_option(argv, "record", NULL);
  FILE *record = file != NULL ? fopen(file, "wb") : NULL;
  size_t octets;
  (void)argc;
  bench_link_open(argv);
  greeting();
  run(TAG "LOGIN %s %s\r\n", bench_option(argv, "user", "tester"),
      bench_option(argv, "password", "secret"));
  run(TAG "EXAMINE INBOX%s%s\r\n", "", "");
  snprintf(command, sizeof command, TAG "UID FETCH %s\r\n",
           bench_option(argv, "fetch", "1:* BODY.PEEK[]"));
  bench_begin();
  bench_put(command, strlen(command));
  octets = discard(record);
  snprintf(extra, sizeof extra, "octets=%zu", octets);
  bench_end(bench_number(argv, "n", 1), extra);
  return record != NULL && fclose(record) != 0;
}
