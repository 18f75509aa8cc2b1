/* An SMTP server that costs next to nothing: every sender is accepted, every message forgotten.
**
** One epoll loop; one read and one write for whatever a read brought (PIPELINING), the end of the
** content found from newline to newline, that of a chunk by its length (chunking=1). TLS from the start with
** tls=1 cert=FILE key=FILE, no AUTH. It keeps no more of a connection than the few bytes that a read
** left over: a piece of a command line, or the last bytes of content (which may be the start of
** CRLF.CRLF).
*/
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

struct client {
  int fd;
  SSL *ssl;     /* NULL: plain */
  bool greeted; /* behind the handshake with TLS */
  bool content; /* between 354 and the dot */
  size_t chunk; /* octets of a chunk that still come */
  size_t held;  /* bytes of `hold` in use */
  char hold[BENCH_TAIL];
};

static SSL_CTX *tls;
static bool chunking; /* CHUNKING is offered */

struct out {
  size_t n;
  char bytes[64 * 1024];
};

static void reply(struct out *out, const char *text) {
  size_t n = strlen(text);
  if (out->n + n > sizeof out->bytes) bench_die("too many commands in one read");
  memcpy(out->bytes + out->n, text, n);
  out->n += n;
}

static bool is(const char *line, const char *verb) {
  return strncasecmp(line, verb, 4) == 0;
}

static void command(struct client *c, const char *line, struct out *out) {
  if (is(line, "MAIL"))
    reply(out, "250 2.1.0 ok\r\n");
  else if (is(line, "RCPT"))
    reply(out, "250 2.1.5 ok\r\n");
  else if (is(line, "EHLO"))
    reply(out, chunking ? "250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-"
                          "ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250 SIZE 0\r\n"
                        : "250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-"
                          "ENHANCEDSTATUSCODES\r\n250 SIZE 0\r\n");
  else if (is(line, "HELO") || is(line, "RSET") || is(line, "NOOP"))
    reply(out, "250 2.0.0 ok\r\n");
  else if (is(line, "QUIT"))
    reply(out, "221 2.0.0 bye\r\n");
  else if (is(line, "BDAT") && (c->chunk = strtoul(line + 5, NULL, 10)) == 0)
    reply(out, "250 2.0.0 queued as 4F01\r\n");
  else if (is(line, "BDAT"))
    return;
  else if (is(line, "DATA")) {
    reply(out, "354 go on\r\n");
    c->content = true;
  } else {
    reply(out, "500 5.5.1 what\r\n");
  }
}

/* One step forward in [p, end): a command line, or the rest of a message. NULL where more bytes are
** needed. */
static const char *step(struct client *c, const char *p, const char *end, struct out *out) {
  const char *next;
  if (c->chunk) {
    size_t n = (size_t)(end - p) < c->chunk ? (size_t)(end - p) : c->chunk;
    c->chunk -= n;
    if (c->chunk == 0) reply(out, "250 2.0.0 queued as 4F01\r\n");
    return p + n;
  }
  if (c->content) {
    next = bench_dot_end(p, end);
    if (next != NULL) {
      c->content = false;
      reply(out, "250 2.0.0 queued as 4F00\r\n");
    }
    return next;
  }
  next = memchr(p, '\n', (size_t)(end - p));
  if (next == NULL) return NULL;
  command(c, p, out);
  return next + 1;
}

/* Keeps what is not used up: of content only the last four bytes matter. */
static void hold(struct client *c, const char *p, const char *end) {
  if (c->content && end - p > 4) p = end - 4;
  if (end - p > (long)sizeof c->hold) bench_die("command line too long");
  c->held = (size_t)(end - p);
  memcpy(c->hold, p, c->held);
}

static bool put(struct client *c, const char *bytes, size_t n) {
  if (c->ssl != NULL) return SSL_write(c->ssl, bytes, (int)n) == (int)n;
  return send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool greet(struct client *c) {
  static const char greeting[] = "220 sink.example.test ESMTP\r\n";
  c->greeted = true;
  return put(c, greeting, sizeof greeting - 1);
}

/* Octets read, 0: none yet, -1: gone. */
static ssize_t take(struct client *c, char *into, size_t room) {
  ssize_t n;
  if (c->ssl == NULL) {
    n = recv(c->fd, into, room, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
  }
  if (!c->greeted) {
    if (SSL_accept(c->ssl) != 1) return SSL_get_error(c->ssl, -1) == SSL_ERROR_WANT_READ ? 0 : -1;
    if (!greet(c)) return -1;
  }
  n = SSL_read(c->ssl, into, (int)room);
  return n > 0 ? n : SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Takes in one read, which with TLS is a record, and notes the replies. As `take`. */
static ssize_t absorb(struct client *c, char *room, struct out *out) {
  char *start = room + BENCH_TAIL - c->held;
  ssize_t n = take(c, room + BENCH_TAIL, BENCH_READ);
  const char *p, *next, *end = room + BENCH_TAIL + n;
  if (n <= 0) return n;
  memcpy(start, c->hold, c->held);
  for (p = start; p < end && (next = step(c, p, end, out)) != NULL;) p = next;
  hold(c, p, end);
  return n;
}

static bool readable(struct client *c, char *room, struct out *out) {
  ssize_t n;
  out->n = 0;
  do {
    n = absorb(c, room, out);
  } while (n > 0 && c->ssl != NULL);
  return n >= 0 && (out->n == 0 || put(c, out->bytes, out->n));
}

static void welcome(int epfd, int listener) {
  struct client *c = calloc(1, sizeof *c);
  if (c == NULL || (c->fd = accept(listener, NULL, NULL)) < 0) bench_die("accept");
  bench_nonblocking(c->fd);
  bench_watch(epfd, c->fd, EPOLLIN, c, false);
  if (tls == NULL) {
    greet(c);
  } else {
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
  }
}

static void load(char **argv) {
  tls = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(tls, bench_option(argv, "cert", "")) != 1)
    bench_die("cert=");
  if (SSL_CTX_use_PrivateKey_file(tls, bench_option(argv, "key", ""), SSL_FILETYPE_PEM) != 1)
    bench_die("key=");
}

int main(int argc, char **argv) {
  static char room[BENCH_TAIL + BENCH_READ];
  static struct out out;
  struct epoll_event ready[256];
  int patience = bench_number(argv, "spin", 0) ? 0 : -1, listener, epfd = bench_epoll();
  (void)argc;
  if (bench_number(argv, "tls", 0)) load(argv);
  listener = bench_serve();
  chunking = bench_number(argv, "chunking", 0) != 0;
  bench_watch(epfd, listener, EPOLLIN, NULL, false);
  for (;;) {
    int n = epoll_wait(epfd, ready, 256, patience);
    for (int i = 0; i < n; i++) {
      struct client *c = ready[i].data.ptr;
      if (c == NULL)
        welcome(epfd, listener);
      else if (!readable(c, room, &out)) {
        SSL_free(c->ssl);
        close(c->fd);
        free(c);
      }
    }
  }
}
