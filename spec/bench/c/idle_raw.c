/* The ceiling of IDLE: n sessions in one epoll loop, each a descriptor and nothing else.
**
** Options: port= n= rounds=. Opens n sessions and one more that triggers the pushes (idle_server.c:
** XWAIT, XPUSH). Extra results: kib_each (resident memory a session), latency (seconds from the
** trigger until all have noticed, median over the rounds). cpu and n count the notices of all
** rounds.
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

static int enter(char **argv, bool idle) {
  char line[256];
  int fd = bench_connect(argv);
  bench_line(fd, line, sizeof line);
  bench_say(fd, "a LOGIN u p\r\n", "a OK");
  bench_say(fd, "b SELECT INBOX\r\n", "b OK");
  if (idle) bench_say(fd, "c IDLE\r\n", "+");
  return fd;
}

/* One push; returns the seconds until the n-th session has read its line. */
static double round_trip(int epfd, int control, size_t n) {
  struct epoll_event ready[256];
  char line[256];
  double began = bench_wall(), took;
  bench_send(control, "d XPUSH\r\n", 9);
  while (n > 0) {
    int k = epoll_wait(epfd, ready, 256, -1);
    for (int i = 0; i < k; i++)
      if (recv(ready[i].data.fd, line, sizeof line, 0) > 0 && line[0] == '*') n--;
  }
  took = bench_wall() - began;
  bench_say(control, "", "d OK");
  return took;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  size_t n = bench_number(argv, "n", 5000), rounds = bench_number(argv, "rounds", 5);
  int control = enter(argv, false), epfd = bench_epoll();
  long before = bench_rss_now(), after;
  double *took = calloc(rounds, sizeof *took);
  char command[64], extra[96];
  (void)argc;
  for (size_t i = 0; i < n; i++) {
    int fd = enter(argv, true);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) != 0) bench_die("epoll_ctl");
  }
  snprintf(command, sizeof command, "w XWAIT %zu\r\n", n);
  bench_say(control, command, "w OK");
  after = bench_rss_now();
  bench_begin();
  for (size_t i = 0; i < rounds; i++) took[i] = round_trip(epfd, control, n);
  qsort(took, rounds, sizeof *took, ascending);
  snprintf(extra, sizeof extra, "kib_each=%.3f latency=%.6f", (double)(after - before) / (double)n,
           took[rounds / 2]);
  bench_end(n * rounds, extra);
  return 0;
}
