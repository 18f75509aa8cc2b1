/* An IMAP server that knows IDLE and little else: thousands of sessions in one process, and a push
** to all at one word.
**
** Enough for a client to log in (any name), select a mailbox and idle. Two commands of its own make
** the workload exact:
**   tag XWAIT n   answered once n sessions are idling
**   tag XPUSH     writes "* n EXISTS" to every idling session, then answers
** Options: spin=1 (never sleeps: waking an idle processor costs more than the work) tls=1 cert=FILE
** key=FILE
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

#define MOST 16384
#define LINE 512

struct client {
  int fd;
  SSL *ssl;
  bool welcome; /* greeting sent: behind the handshake with TLS */
  bool idling;
  size_t n; /* octets of an unfinished line */
  char line[LINE];
  char tag[32];
};

static struct client *clients[MOST];
static SSL_CTX *tls;
static size_t idling, exists = 1;
static struct {
  struct client *who;
  size_t count;
  char tag[32];
} waiting;

static void say(struct client *c, const char *text) {
  size_t n = strlen(text);
  if (c->ssl != NULL) {
    if (SSL_write(c->ssl, text, (int)n) != (int)n) bench_die("SSL_write");
  } else if (send(c->fd, text, n, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) {
    bench_die("send");
  }
}

static void done(struct client *c, const char *tag, const char *text) {
  char line[256];
  snprintf(line, sizeof line, "%.31s OK %.200s\r\n", tag, text);
  say(c, line);
}

static void answer_waiting(void) {
  if (waiting.who == NULL || idling < waiting.count) return;
  done(waiting.who, waiting.tag, "they idle");
  waiting.who = NULL;
}

static void push(void) {
  char line[64];
  snprintf(line, sizeof line, "* %zu EXISTS\r\n", ++exists);
  for (size_t i = 0; i < MOST; i++)
    if (clients[i] != NULL && clients[i]->idling) say(clients[i], line);
}

static void stop_idling(struct client *c) {
  if (c->idling) idling--;
  c->idling = false;
}

static void begin_idle(struct client *c, const char *tag) {
  snprintf(c->tag, sizeof c->tag, "%.31s", tag);
  c->idling = true;
  idling++;
  say(c, "+ idling\r\n");
  answer_waiting();
}

static void wait_for(struct client *c, const char *tag, const char *argument) {
  waiting.who = c;
  waiting.count = (size_t)strtoul(argument, NULL, 10);
  snprintf(waiting.tag, sizeof waiting.tag, "%.31s", tag);
  answer_waiting();
}

static void command(struct client *c, char *line) {
  static const char selected[] = "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK "
                                 "[UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 2] ok\r\n";
  char *verb = strchr(line, ' '), *rest;
  if (strcasecmp(line, "DONE") == 0) {
    stop_idling(c);
    done(c, c->tag, "idled");
    return;
  }
  if (verb == NULL) bench_die("a line without a tag");
  *verb++ = '\0';
  rest = verb + strcspn(verb, " ");
  if (*rest != '\0') *rest++ = '\0';
  if (strcasecmp(verb, "IDLE") == 0)
    begin_idle(c, line);
  else if (strcasecmp(verb, "XWAIT") == 0)
    wait_for(c, line, rest);
  else {
    if (strcasecmp(verb, "XPUSH") == 0) push();
    if (strcasecmp(verb, "CAPABILITY") == 0) say(c, "* CAPABILITY IMAP4rev1 IDLE SASL-IR\r\n");
    if (strcasecmp(verb, "SELECT") == 0 || strcasecmp(verb, "EXAMINE") == 0) say(c, selected);
    if (strcasecmp(verb, "LOGOUT") == 0) say(c, "* BYE see you\r\n");
    done(c, line, "done");
  }
}

static void lines(struct client *c) {
  char *p = c->line, *end = c->line + c->n, *nl;
  while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
    *nl = '\0';
    if (nl > p && nl[-1] == '\r') nl[-1] = '\0';
    command(c, p);
    p = nl + 1;
  }
  c->n = (size_t)(end - p);
  memmove(c->line, p, c->n);
}

/* Octets read, 0: none yet, -1: gone. */
static int take(struct client *c) {
  int n;
  if (c->ssl == NULL) {
    n = (int)recv(c->fd, c->line + c->n, LINE - c->n, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
  }
  if (!SSL_is_init_finished(c->ssl) && SSL_accept(c->ssl) != 1)
    return SSL_get_error(c->ssl, -1) == SSL_ERROR_WANT_READ ? 0 : -1;
  if (!c->welcome) {
    c->welcome = true;
    say(c, "* OK [CAPABILITY IMAP4rev1 IDLE SASL-IR] ready\r\n");
  }
  n = SSL_read(c->ssl, c->line + c->n, (int)(LINE - c->n));
  return n > 0 ? n : SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

static void leave(struct client *c) {
  stop_idling(c);
  clients[c->fd] = NULL;
  if (waiting.who == c) waiting.who = NULL;
  SSL_free(c->ssl);
  close(c->fd);
  free(c);
}

static void readable(struct client *c) {
  int n;
  while ((n = take(c)) > 0) {
    c->n += (size_t)n;
    lines(c);
  }
  if (n < 0) leave(c);
}

static void welcome(int epfd, int listener) {
  struct client *c = calloc(1, sizeof *c);
  if (c == NULL || (c->fd = accept(listener, NULL, NULL)) < 0 || c->fd >= MOST) bench_die("accept");
  clients[c->fd] = c;
  bench_nonblocking(c->fd);
  bench_watch(epfd, c->fd, EPOLLIN, c, false);
  if (tls == NULL) {
    c->welcome = true;
    say(c, "* OK [CAPABILITY IMAP4rev1 IDLE SASL-IR] ready\r\n");
  } else {
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_accept_state(c->ssl);
  }
}

static void load(char **argv) {
  tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(tls, bench_option(argv, "cert", "")) != 1)
    bench_die("cert=");
  if (SSL_CTX_use_PrivateKey_file(tls, bench_option(argv, "key", ""), SSL_FILETYPE_PEM) != 1)
    bench_die("key=");
}

int main(int argc, char **argv) {
  struct epoll_event ready[256];
  int patience = bench_number(argv, "spin", 0) ? 0 : -1, listener, epfd = bench_epoll();
  (void)argc;
  if (bench_number(argv, "tls", 0)) load(argv);
  listener = bench_serve();
  bench_watch(epfd, listener, EPOLLIN, NULL, false);
  for (;;) {
    int n = epoll_wait(epfd, ready, 256, patience);
    for (int i = 0; i < n; i++) {
      if (ready[i].data.ptr == NULL)
        welcome(epfd, listener);
      else
        readable(ready[i].data.ptr);
    }
  }
}
