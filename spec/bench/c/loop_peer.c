/* An IMAP server for the loops: it answers NOOP, sends as much as it is asked for, and takes in what it
** is given, one connection after the other.
**
**   "t NOOP" (or anything else)      "t OK done"
**   "t UID FETCH ..."                one body of size= octets, then "t OK done"
**                                    with messages=n: UID and FLAGS of so many messages
**   "t APPEND ... {n}"               "+ go on", n octets and CRLF are taken in, then "t OK done"
**
** With spin=1 it never sleeps: waking an idle processor would be charged to whoever wakes it. The raw
** sockets that the loops are compared with speak the same.
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { BLOCK = 1024 * 1024, LINE = 1024, LONGEST = 128 };

struct peer {
  int fd;
  int flags; /* of recv */
  char in[BENCH_READ];
  size_t from, to;
};

static char block[BLOCK];

/* More input; false at the end of the connection. */
static bool more(struct peer *p) {
  ssize_t got;
  do {
    got = recv(p->fd, p->in, sizeof p->in, p->flags);
  } while (got < 0 && (errno == EAGAIN || errno == EINTR));
  p->from = 0;
  p->to = got > 0 ? (size_t)got : 0;
  return got > 0;
}

static bool take_line(struct peer *p, char *line) {
  size_t n = 0;
  for (;;) {
    char c;
    if (p->from == p->to && !more(p)) return false;
    c = p->in[p->from++];
    if (c == '\n') break;
    if (c != '\r' && n + 1 < LINE) line[n++] = c;
  }
  line[n] = '\0';
  return true;
}

static bool take_octets(struct peer *p, size_t n) {
  while (n > 0) {
    size_t here = p->to - p->from;
    if (here == 0) {
      if (!more(p)) return false;
      continue;
    }
    if (here > n) here = n;
    p->from += here;
    n -= here;
  }
  return true;
}

static bool put(struct peer *p, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t sent = send(p->fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes += sent;
    n -= (size_t)sent;
  }
  return true;
}

static bool put_body(struct peer *p, size_t size) {
  char head[64];
  int n = snprintf(head, sizeof head, "* 1 FETCH (UID 1 BODY[] {%zu}\r\n", size);
  bool sent = put(p, head, (size_t)n);
  while (sent && size > 0) {
    size_t piece = size < BLOCK ? size : BLOCK;
    sent = put(p, block, piece);
    size -= piece;
  }
  return sent && put(p, ")\r\n", 3);
}

/* One message of a mailbox as people have them: most are read, some answered, few neighbors have the
** same flags; every seventh UID is gone. */
static size_t flags_line(char *out, size_t seq) {
  unsigned dice = (unsigned)seq * 2654435761u >> 8;
  return (size_t)snprintf(
      out, LONGEST, "* %zu FETCH (UID %zu FLAGS (%s%s%s%s))\r\n", seq, seq + seq / 6,
      dice % 10 < 7 ? "\\Seen" : "", dice / 10 % 5 == 0 ? " \\Answered" : "",
      dice / 50 % 20 == 0 ? " \\Flagged" : "", dice / 1000 % 50 == 0 ? " $Forwarded" : "");
}

static bool put_flags(struct peer *p, size_t messages) {
  size_t at = 0;
  for (size_t seq = 1; seq <= messages; seq++) {
    at += flags_line(block + at, seq);
    if (at + LONGEST <= BLOCK && seq < messages) continue;
    if (!put(p, block, at)) return false;
    at = 0;
  }
  return true;
}

static bool answer(struct peer *p, const char *line, size_t size, size_t messages) {
  char done[64];
  const char *literal = strrchr(line, '{');
  size_t tag = strcspn(line, " ");
  int n;
  if (literal && strstr(line, "APPEND")) {
    size_t octets = strtoul(literal + 1, NULL, 10);
    if (!put(p, "+ go on\r\n", 9) || !take_octets(p, octets + 2)) return false;
  }
  if (strstr(line, "UID FETCH") && !(messages ? put_flags(p, messages) : put_body(p, size)))
    return false;
  if (strstr(line, "CAPABILITY") && !put(p, "* CAPABILITY IMAP4rev1\r\n", 24)) return false;
  if (strstr(line, "EXAMINE") && !put(p, "* 1 EXISTS\r\n", 12)) return false;
  n = snprintf(done, sizeof done, "%.*s OK done\r\n", tag > 32 ? 32 : (int)tag, line);
  return put(p, done, (size_t)n);
}

int main(int argc, char **argv) {
  static struct peer p;
  char line[LINE];
  size_t size = bench_number(argv, "size", 100000000);
  size_t messages = bench_number(argv, "messages", 0);
  int listener = bench_serve();
  (void)argc;
  memset(block, 'x', sizeof block);
  for (;;) {
    p.fd = accept(listener, NULL, NULL);
    p.flags = bench_number(argv, "spin", 0) ? MSG_DONTWAIT : 0;
    p.from = p.to = 0;
    if (p.fd < 0) continue;
    if (put(&p, "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n", 40)) {
      while (take_line(&p, line) && answer(&p, line, size, messages)) continue;
    }
    close(p.fd);
  }
}
