/* The ceiling of sending: N connections, one write and one read a message, nothing built and
** nothing parsed.
**
** What is written is always the same bytes: content, dot, MAIL, RCPT and DATA of the next message;
** what is waited for is the number of reply lines (RFC 2920 §3.1 lets them travel together). It is
** no client: any refusal goes unnoticed. Options: port= n= (messages) size= (octets) connections=
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static const char envelope[] =
    "MAIL FROM:<bench@example.test>\r\nRCPT TO:<sink@example.test>\r\nDATA\r\n";

struct conn {
  int fd;
  int due;      /* reply lines still to come */
  size_t sent;  /* octets of the flight under way */
  size_t end;   /* its length; sent == end: nothing under way */
  bool writing; /* EPOLLOUT asked for */
};

static struct {
  char *flight;   /* content, dot, envelope */
  size_t content; /* octets up to and with the dot */
  size_t whole;
  size_t left; /* messages not yet begun */
  size_t under_way;
  size_t done;
  int epfd;
} job;

static void push(struct conn *c) {
  ssize_t k = send(c->fd, job.flight + c->sent, c->end - c->sent, MSG_NOSIGNAL);
  if (k < 0 && errno != EAGAIN) bench_die("send");
  if (k > 0) c->sent += (size_t)k;
  if (c->writing != (c->sent < c->end)) {
    c->writing = !c->writing;
    bench_watch(job.epfd, c->fd, c->writing ? EPOLLIN | EPOLLOUT : EPOLLIN, c, true);
  }
}

/* All replies of the last flight are in: the next content, with an envelope behind it while there
** are messages left. */
static void next_flight(struct conn *c) {
  bool more = job.left > 0;
  if (more) job.left--;
  c->due = more ? 4 : 1;
  c->sent = 0;
  c->end = more ? job.whole : job.content;
  push(c);
}

static void readable(struct conn *c) {
  char buf[4096];
  ssize_t n = recv(c->fd, buf, sizeof buf, 0);
  bool last = c->due == 1;
  if (n <= 0) bench_die("recv");
  for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))) != NULL; p++) c->due--;
  if (c->due > 0) return;
  if (c->end != 0) job.done++;
  if (!last)
    next_flight(c);
  else
    job.under_way--;
}

static void open_all(struct conn *conns, size_t n, char **argv) {
  char line[256];
  for (size_t i = 0; i < n; i++) {
    conns[i].fd = bench_connect(argv);
    bench_line(conns[i].fd, line, sizeof line);
    bench_say(conns[i].fd, "EHLO raw\r\n", "250 ");
    bench_nonblocking(conns[i].fd);
    bench_watch(job.epfd, conns[i].fd, EPOLLIN, &conns[i], false);
  }
}

static void start(struct conn *c) {
  job.left--;
  job.under_way++;
  c->due = 3;
  bench_send(c->fd, envelope, sizeof envelope - 1);
}

static void build(size_t size) {
  char *message = bench_message(size, &job.content);
  job.whole = job.content + 3 + sizeof envelope - 1;
  job.flight = malloc(job.whole);
  if (job.flight == NULL) bench_die("malloc");
  memcpy(job.flight, message, job.content);
  memcpy(job.flight + job.content, ".\r\n", 3);
  memcpy(job.flight + job.content + 3, envelope, sizeof envelope - 1);
  job.content += 3;
  free(message);
}

int main(int argc, char **argv) {
  size_t n = bench_number(argv, "connections", 1);
  struct conn *conns = calloc(n, sizeof *conns);
  struct epoll_event ready[256];
  (void)argc;
  job.left = bench_number(argv, "n", 1000);
  build(bench_number(argv, "size", 10240));
  job.epfd = bench_epoll();
  open_all(conns, n, argv);
  bench_begin();
  for (size_t i = 0; i < n && job.left > 0; i++) start(&conns[i]);
  while (job.under_way > 0) {
    int k = epoll_wait(job.epfd, ready, 256, -1);
    for (int i = 0; i < k; i++) {
      struct conn *c = ready[i].data.ptr;
      if (ready[i].events & EPOLLIN)
        readable(c);
      else
        push(c);
    }
  }
  bench_end(job.done, "");
  return 0;
}
