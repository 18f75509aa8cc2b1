/* The ceiling of POP3: RETR of every message with a window of a hundred commands, the answers
** thrown away.
**
** One send for every fifty messages, one recv of 256 KiB at a time, the end of each answer found
** from newline to newline. Options: port= user= password= window=
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"

static size_t messages(int fd) {
  char line[256];
  bench_send(fd, "STAT\r\n", 6);
  bench_line(fd, line, sizeof line);
  if (strncmp(line, "+OK ", 4) != 0) bench_die(line);
  return (size_t)strtoul(line + 4, NULL, 10);
}

static void login(int fd, char **argv) {
  char line[256];
  bench_line(fd, line, sizeof line);
  snprintf(line, sizeof line, "USER %s\r\n", bench_option(argv, "user", "tester"));
  bench_say(fd, line, "+OK");
  snprintf(line, sizeof line, "PASS %s\r\n", bench_option(argv, "password", "secret"));
  bench_say(fd, line, "+OK");
}

/* Asks for messages first..last in one send. */
static void ask(int fd, size_t first, size_t last) {
  char commands[64 * 1024];
  size_t n = 0;
  for (size_t i = first; i <= last; i++)
    n += (size_t)snprintf(commands + n, sizeof commands - n, "RETR %zu\r\n", i);
  bench_send(fd, commands, n);
}

int main(int argc, char **argv) {
  static char room[BENCH_TAIL + BENCH_READ];
  char *const data = room + BENCH_TAIL;
  int fd = bench_connect(argv);
  size_t window = bench_number(argv, "window", 100), n, asked, done = 0, tail = 0;
  (void)argc;
  login(fd, argv);
  n = messages(fd);
  if (n < window) window = n;
  bench_begin();
  ask(fd, 1, asked = window);
  while (done < n) {
    ssize_t k = recv(fd, data, BENCH_READ, 0);
    const char *p = data - tail, *end = data + k, *next;
    if (k <= 0) bench_die("recv");
    for (; (next = bench_dot_end(p, end)) != NULL; p = next) done++;
    tail = end - p > 4 ? 4 : (size_t)(end - p);
    memmove(data - tail, end - tail, tail);
    if (asked < n && asked - done <= window / 2) {
      size_t last = asked + window / 2 < n ? asked + window / 2 : n;
      ask(fd, asked + 1, last);
      asked = last;
    }
  }
  bench_end(done, "");
  return 0;
}
