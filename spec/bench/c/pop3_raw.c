/* The ceiling of POP3: RETR of every message with a window of a hundred commands, the answers
** thrown away; plain, or through OpenSSL memory BIOs.
**
** One send for every fifty messages, one recv of 256 KiB at a time, the end of each answer found
** from newline to newline. Options: port= user= password= tls=1 window=
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "link.h"

static size_t messages(void) {
  char line[256];
  bench_put("STAT\r\n", 6);
  bench_get_line(line, sizeof line);
  if (strncmp(line, "+OK ", 4) != 0) bench_die(line);
  return (size_t)strtoul(line + 4, NULL, 10);
}

static void login(char **argv) {
  char line[256];
  bench_get_line(line, sizeof line);
  snprintf(line, sizeof line, "USER %s\r\n", bench_option(argv, "user", "tester"));
  bench_ask(line, "+OK");
  snprintf(line, sizeof line, "PASS %s\r\n", bench_option(argv, "password", "secret"));
  bench_ask(line, "+OK");
}

/* Asks for messages first..last in one send. */
static void ask(size_t first, size_t last) {
  char commands[64 * 1024];
  size_t n = 0;
  for (size_t i = first; i <= last; i++)
    n += (size_t)snprintf(commands + n, sizeof commands - n, "RETR %zu\r\n", i);
  bench_put(commands, n);
}

int main(int argc, char **argv) {
  static char room[BENCH_TAIL + BENCH_READ];
  char *const data = room + BENCH_TAIL;
  size_t window = bench_number(argv, "window", 100), n, asked, done = 0, tail = 0;
  (void)argc;
  bench_link_open(argv);
  login(argv);
  n = messages();
  if (n < window) window = n;
  bench_begin();
  ask(1, asked = window);
  while (done < n) {
    size_t k = bench_get(data, BENCH_READ);
    const char *p = data - tail, *end = data + k, *next;
    for (; (next = bench_dot_end(p, end)) != NULL; p = next) done++;
    tail = end - p > 4 ? 4 : (size_t)(end - p);
    memmove(data - tail, end - tail, tail);
    if (asked < n && asked - done <= window / 2) {
      size_t last = asked + window / 2 < n ? asked + window / 2 : n;
      ask(asked + 1, last);
      asked = last;
    }
  }
  bench_end(done, "");
  return 0;
}
